/** @file Answers while the model is loading: whoever would be served within seconds waits, others are told to come again. */
import { type Env, Hono } from "hono";
import { requestId } from "hono/request-id";
import { sendError, toHttpError } from "./errors.ts";
import { type GuardOptions, guards } from "./guards.ts";
import { unavailableError } from "./readiness.ts";

/** How long a request waits for the model, in milliseconds: less than clients and proxies wait for a first byte. */
const PATIENCE = 10_000;
/** What a stage must have taken before it tells how long the rest will take, in milliseconds. */
const LEAST_EVIDENCE = 1000;

/** How far a stage of loading is. */
export interface Stage {
  readonly stage: string;
  readonly done: number;
  readonly total: number;
}

/** The application's place until it is there. */
export class FrontDoor {
  readonly #loading = new Hono();
  readonly #opened = Promise.withResolvers<void>();
  #application: Pick<Hono<Env>, "fetch"> | null = null;
  #stage = "";
  #stageBegun = 0;
  #isFar = false;

  /**
   * @param patienceMilliseconds how long a request waits at most
   * @param now the time in milliseconds
   */
  constructor(
    options: GuardOptions,
    readonly patienceMilliseconds: number = PATIENCE,
    readonly now: () => number = () => performance.now(),
  ) {
    const app = this.#loading;
    app.use(requestId(), ...guards(options));
    app.get("/health", (c) => c.json({ status: "loading" }, 503));
    app.all("*", () => {
      throw unavailableError("loading");
    });
    app.onError((error, c) => sendError(c, toHttpError(error)));
  }

  /** Takes note of how loading goes on, to tell whether waiting makes sense. */
  progress({ stage, done, total }: Stage): void {
    const now = this.now();
    if (stage !== this.#stage) {
      this.#stage = stage;
      this.#stageBegun = now;
    }
    const elapsed = now - this.#stageBegun;
    this.#isFar = elapsed > LEAST_EVIDENCE && elapsed * (total - done) > done * this.patienceMilliseconds;
  }

  /** Lets every request through to the application, and those that wait. */
  open(application: Pick<Hono<Env>, "fetch">): void {
    this.#application = application;
    this.#opened.resolve();
  }

  fetch(request: Request): Response | Promise<Response> {
    return this.#application === null ? this.#wait(request) : this.#application.fetch(request);
  }

  async #wait(request: Request): Promise<Response> {
    const answer = await this.#loading.fetch(request);
    if (answer.status !== 503 || this.#isFar || new URL(request.url).pathname === "/health") return answer;
    let timer;
    const patience = new Promise<void>((resolve) => timer = setTimeout(resolve, this.patienceMilliseconds));
    await Promise.race([this.#opened.promise, patience]);
    clearTimeout(timer);
    return await (this.#application ?? this.#loading).fetch(request);
  }
}
