// The script that draws scenes: fetched with the first one, from the app; in a file it is there already.
import { store } from "./store.js";

let loading = null;

export function sceneClass() {
  if (globalThis.strobeScene) return Promise.resolve(globalThis.strobeScene);
  loading ??= import(new URL(store.model.scene, document.baseURI).href).then(
    (script) => script.Scene,
    (error) => {
      loading = null; // the next scene tries again
      throw error;
    },
  );
  return loading;
}
