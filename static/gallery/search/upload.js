/** Sending a form with a file, with progress, which fetch() does not report. */

/**
 * Like fetch(), with `onProgress(share)`, 0..1, while the body is sent. Resolves to {ok, status,
 * headers, json()}; rejects with an AbortError after `signal`, and with a TypeError if the server does not answer.
 */
export function send(address, { method, headers, body, signal, onProgress }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, address);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    const abort = () => request.abort();
    request.upload.addEventListener("progress", ({ loaded, total }) => onProgress?.(loaded / total));
    request.addEventListener("load", () => {
      const { status, responseText } = request;
      const ok = status >= 200 && status < 300;
      const sent = { get: (name) => request.getResponseHeader(name) };
      resolve({ ok, status, headers: sent, json: async () => JSON.parse(responseText) });
    });
    request.addEventListener("error", () => reject(new TypeError("The request failed.")));
    request.addEventListener("abort", () => reject(new DOMException("Aborted", "AbortError")));
    request.addEventListener("loadend", () => signal?.removeEventListener("abort", abort));
    if (signal?.aborted) {
      reject(new DOMException("Aborted", "AbortError"));
      return;
    }
    signal?.addEventListener("abort", abort);
    request.send(body);
  });
}
