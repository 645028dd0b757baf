/**
 * @file A hub of models on loopback: the routes of the real one as pull uses them, on two ports, since large files come from
 * another origin by signed URLs; and whatever can go wrong, where a test wants it.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What goes wrong with one request. */
export type Fault =
  | { readonly status: number; readonly headers?: Record<string, string> }
  /** The connection breaks after so many bytes of the answer. */
  | { readonly breakAfter: number }
  /** Nothing comes, until the client goes. */
  | { readonly stall: true }
  /** The first byte is another. */
  | { readonly corrupt: true };

/** A request that a server got. */
export interface SeenRequest {
  readonly server: "hub" | "store";
  readonly path: string;
  readonly range?: string;
  readonly authorization?: string;
}

/** What the hub holds and how it behaves; tests change it as they go. */
export class FakeHub implements AsyncDisposable {
  commit = "0".repeat(40);
  /** By path; those of more than `largeBytes` are kept in the store. */
  files: Readonly<Record<string, Uint8Array<ArrayBuffer>>> = {};
  largeBytes = 16;
  /** Files that a page of the listing has. */
  pageSize = 1000;
  takesRanges = true;
  /** The token that the hub wants to see. */
  token?: string;
  /** Signatures after which the store refuses older ones. */
  oldestSignature = 0;
  /** Called for each request, before it is answered. */
  fault: (request: SeenRequest) => Fault | undefined = () => undefined;
  readonly requests: SeenRequest[] = [];
  #signatures = 0;
  // Node's, for its sockets can be broken in the midst of an answer.
  readonly #hub: Server;
  readonly #store: Server;

  private constructor() {
    this.#hub = createServer((request, response) => this.#serve("hub", request, response));
    this.#store = createServer((request, response) => this.#serve("store", request, response));
  }

  static async start(): Promise<FakeHub> {
    const hub = new FakeHub();
    for (const server of [hub.#hub, hub.#store]) {
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    }
    return hub;
  }

  get endpoint(): string {
    return originOf(this.#hub);
  }

  /** The ranges that files were asked for, in order. */
  get ranges(): (string | undefined)[] {
    return this.requests.filter(({ server }) => server === "store").map(({ range }) => range);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of [this.#hub, this.#store]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  async #serve(server: SeenRequest["server"], { url, headers }: IncomingMessage, response: ServerResponse) {
    const request = new Request(new URL(url!, originOf(this.#hub)), { headers: headers as Record<string, string> });
    const seen = {
      server,
      path: new URL(request.url).pathname,
      range: request.headers.get("range") ?? undefined,
      authorization: request.headers.get("authorization") ?? undefined,
    };
    this.requests.push(seen);
    const fault: Fault | { readonly none: true } = this.fault(seen) ?? { none: true };
    if ("stall" in fault) return;
    const answer = "status" in fault
      ? new Response(null, fault)
      : server === "hub"
      ? this.#answerHub(new URL(request.url), request)
      : this.#answerStore(new URL(request.url), request);
    const bytes = await answer.bytes();
    if ("corrupt" in fault) bytes[0] ^= 1;
    // The length is that of the whole even where the connection breaks, so that a client can tell.
    response.writeHead(answer.status, { ...Object.fromEntries(answer.headers), "content-length": bytes.length });
    response.flushHeaders();
    if ("breakAfter" in fault) response.write(bytes.subarray(0, fault.breakAfter), () => response.socket?.destroy());
    else response.end(bytes);
  }

  #answerHub(url: URL, request: Request): Response {
    const api = /^\/api\/models\/(o\/r)\/(revision\/main|tree\/(\w+))$/.exec(url.pathname);
    const file = /^\/o\/r\/resolve\/(\w+)\/(.+)$/.exec(url.pathname);
    if (this.token !== undefined && request.headers.get("authorization") !== `Bearer ${this.token}`) {
      return new Response(null, { status: 401 });
    }
    if (api?.[2] === "revision/main") return Response.json({ sha: this.commit });
    if (api?.[3] === this.commit) return this.#list(url);
    const bytes = file?.[1] === this.commit ? this.files[decodeURIComponent(file[2])] : undefined;
    if (file === null || bytes === undefined) {
      const code = url.pathname.includes("/o/r") ? "EntryNotFound" : "RepoNotFound";
      return new Response(null, { status: 404, headers: { "x-error-code": code, "x-error-message": code } });
    }
    if (bytes.length <= this.largeBytes) return this.#send(bytes, request);
    const signed = `${originOf(this.#store)}/${file[2]}?signature=${++this.#signatures}`;
    return new Response(null, { status: 302, headers: { location: signed } });
  }

  #list(url: URL): Response {
    const from = Number(url.searchParams.get("cursor") ?? 0);
    const all = Object.entries(this.files);
    const entries = all.slice(from, from + this.pageSize).map(([path, bytes]) => ({
      type: "file",
      path,
      size: bytes.length,
      oid: createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex"),
      ...(bytes.length > this.largeBytes
        ? { lfs: { oid: createHash("sha256").update(bytes).digest("hex"), size: bytes.length, pointerSize: 130 } }
        : {}),
    }));
    url.searchParams.set("cursor", String(from + this.pageSize));
    const next = from + this.pageSize < all.length ? { link: `<${url.href}>; rel="next"` } : undefined;
    return Response.json([{ type: "directory", path: "folder", oid: "", size: 0 }, ...entries], { headers: next });
  }

  #answerStore(url: URL, request: Request): Response {
    if (Number(url.searchParams.get("signature")) < this.oldestSignature) return new Response(null, { status: 403 });
    return this.#send(this.files[decodeURIComponent(url.pathname.slice(1))], request);
  }

  #send(bytes: Uint8Array<ArrayBuffer>, request: Request): Response {
    const etag = `"${createHash("md5").update(bytes).digest("hex")}"`;
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.get("range") ?? "");
    if (range === null || !this.takesRanges) {
      return new Response(bytes, { headers: { etag, "content-length": String(bytes.length) } });
    }
    const [first, last] = [Number(range[1]), Math.min(Number(range[2]), bytes.length - 1)];
    if (first > last) return new Response(null, { status: 416 });
    return new Response(bytes.subarray(first, last + 1), {
      status: 206,
      headers: { etag, "content-range": `bytes ${first}-${last}/${bytes.length}` },
    });
  }
}

function originOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
