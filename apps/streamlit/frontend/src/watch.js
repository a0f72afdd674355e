// Whether there are newer results: asked calmly while somebody looks, and Python is told once, whoever noticed.
const PACE = 4000; // ms between questions
const SLOWEST = 60_000;

export class Watch {
  // `renew()` has Python make the page anew; `model()` is the page as it is.
  constructor(model, renew) {
    this.model = model;
    this.renew = renew;
    this.pause = PACE;
    this.told = null; // the page that Python was told about
    this.again = PACE;
    this.next();
  }

  next() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.look(), this.pause);
  }

  async look() {
    if (document.hidden) return this.next();
    const { watch, query, stamp, marks } = this.model();
    try {
      const url = new URL(`${watch}?${new URLSearchParams({ run: query.run, report: query.report })}`, document.baseURI);
      const answer = await fetch(url, { cache: "no-cache" });
      if (!answer.ok) throw new Error(answer.status);
      const now = await answer.json();
      this.pause = PACE;
      if (now.stamp !== stamp || now.marks !== marks) this.changed();
      else if (this.told) this.settled();
    } catch {
      this.pause = Math.min(2 * this.pause, SLOWEST); // the server is gone, or busy
    }
    if (!this.closed) this.next();
    return undefined;
  }

  // There is something new. Told once per page; again, ever more rarely, when no new page comes of it.
  changed() {
    const { version } = this.model();
    if (this.told && performance.now() - this.told.at < this.again) return; // the next look notices
    this.again = this.told?.version === version ? Math.min(2 * this.again, SLOWEST) : PACE;
    this.told = { version, at: performance.now() };
    this.renew();
  }

  // The page is the newest there is; one that was given up is asked for again.
  settled() {
    this.told = null;
    this.onSettled?.();
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
  }
}
