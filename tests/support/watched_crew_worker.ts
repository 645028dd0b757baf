/** @file A thread of a crew that says when it would end, and lives on: of one that has ended, messages may get lost. */
import "../../src/cpu/kernels/crew_worker.ts";

declare const self: { postMessage(message: "ended"): void; close(): void };

self.close = () => self.postMessage("ended");
