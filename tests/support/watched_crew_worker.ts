/** @file A thread of a crew that says when it ends. */
import "../../src/cpu/kernels/crew_worker.ts";

declare const self: { postMessage(message: "ended"): void; close(): void };

const { close } = self;
self.close = () => {
  self.postMessage("ended");
  close();
};
