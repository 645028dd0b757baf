/** @file A worker that posts bodies and tells the status of each reply and the time until its end. */

const thread = self as unknown as {
  postMessage(message: unknown): void;
  onmessage: (event: MessageEvent<{ url: string; body: Uint8Array<ArrayBuffer> }>) => void;
};

thread.onmessage = async ({ data: { url, body } }) => {
  const begun = performance.now();
  const response = await fetch(url, { method: "POST", body });
  await response.text();
  thread.postMessage({ status: response.status, milliseconds: performance.now() - begun });
};
thread.postMessage("ready");
