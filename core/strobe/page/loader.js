
// Inflates the scripts of this file and runs them, one after the other.
(async () => {
  for (const place of document.querySelectorAll("script.code")) {
    const packed = Uint8Array.from(atob(place.textContent), (character) => character.charCodeAt(0));
    const text = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"))).text();
    const address = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
    await import(address);
    URL.revokeObjectURL(address);
  }
})().catch((error) => {
  document.getElementById("board").textContent = `This browser cannot open the report: ${error}. Chrome 80, Firefox 113 and Safari 16.4 or later can.`;
});
