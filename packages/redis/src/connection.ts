import { StoreError } from '@talos/envelope'
import type { RedisArgument, RedisClient } from './client.ts'
import type { Deadline } from './deadline.ts'
import { clientClosed, doubtful, type Failure, failureOf, refusalOf, unreachable } from './failures.ts'
import type { Script } from './scripts/script.ts'

/** What a script answered behind its status. */
export type Answer<T = string> = readonly (T | null)[]

/** How a script ended that was sent once. */
type Ended = { readonly answer: unknown } | { readonly failure: Failure }

/** Whether an answer is read as UTF-8 or left as it is. Many small Buffers cost more than the texts in them. */
type Form = 'text' | 'bytes'

const LONGEST_PAUSE_MS = 50

/** Runs the scripts of a store on the caller's client. */
export class Connection {
  readonly client: RedisClient
  readonly #keys: readonly string[]

  constructor(client: RedisClient, keys: readonly string[]) {
    this.client = client
    this.#keys = keys
  }

  /**
   * Runs a script that changes no record, until it is answered or time is up.
   *
   * @returns The answer behind `ok`; `null` for a store that nobody has written to.
   * @throws StoreError, never `ERR_STORE_OUTCOME_UNKNOWN`.
   */
  async ask(script: Script, args: readonly RedisArgument[], deadline: Deadline): Promise<Answer | null> {
    return accepted(await this.#asked(script, args, 'text', deadline))
  }

  /** The same for an answer of bytes. */
  async askBytes(
    script: Script,
    args: readonly RedisArgument[],
    deadline: Deadline,
  ): Promise<Answer<Buffer> | null> {
    return accepted(await this.#asked(script, args, 'bytes', deadline))
  }

  /**
   * Reads settings of the server with `CONFIG GET`, which managed services refuse.
   *
   * @returns The settings by name; `null` where the server refuses.
   */
  async settings(names: readonly string[], deadline: Deadline): Promise<Record<string, unknown> | null> {
    const get = () => settled(() => this.client.call('config', ['get', ...names]))
    const reply = await this.#untilAnswered(get, deadline)
    if (reply instanceof StoreError) return null
    if (!Array.isArray(reply)) return { ...(reply as object) }
    return Object.fromEntries(
      reply.flatMap((name, n) => (n % 2 === 0 ? [[String(name), String(reply[n + 1])]] : [])),
    )
  }

  async #asked<T>(script: Script, args: readonly RedisArgument[], form: Form, deadline: Deadline) {
    const answer = await this.#untilAnswered(() => this.#run(script, args, form), deadline)
    if (answer instanceof StoreError) throw answer
    return answer as Answer<T>
  }

  /** Sends what may be repeated until it is answered. @returns The answer, or the error of a server that refuses. */
  async #untilAnswered(send: () => Promise<Ended>, deadline: Deadline): Promise<unknown> {
    let obstacle: Error | null = null
    for (let attempt = 1; !deadline.passed; attempt += 1) {
      const ended = await deadline.within(send())
      if (ended === null) break
      if ('answer' in ended.answer) return ended.answer.answer
      const { failure } = ended.answer
      if (failure.kind === 'refused') return failure.error
      if (failure.kind === 'unknown script') continue
      if (failure.kind === 'lost') this.#refuseForGood(failure.cause)
      obstacle = failure.cause
      await deadline.pause(Math.min(LONGEST_PAUSE_MS, 2 ** attempt))
    }
    throw deadline.refusal(obstacle)
  }

  /**
   * Runs a script that writes. What the server refuses for the moment is repeated, what may have been run is not.
   *
   * @throws StoreError `ERR_STORE_OUTCOME_UNKNOWN` once it may have been run.
   */
  async write(script: Script, args: readonly RedisArgument[], deadline: Deadline): Promise<Answer | null> {
    const breaks = breaksOf(this.client)
    let obstacle: Error | null = null
    for (let attempt = 1; !deadline.passed; attempt += 1) {
      const before = breaks.count
      const ended = await deadline.within(this.#run(script, args, 'text'))
      if (ended === null) throw deadline.doubt()
      if ('answer' in ended.answer) return accepted(ended.answer.answer as Answer)
      const { failure } = ended.answer
      if (failure.kind === 'lost') throw doubtful(failure.cause)
      // ioredis sends again what a broken connection has not answered: a refusal may be the answer to the second time.
      if (breaks.count !== before) throw doubtful(new Error('the client has reconnected'))
      if (failure.kind === 'refused') throw failure.error
      if (failure.kind === 'unknown script') continue
      obstacle = failure.cause
      await deadline.pause(Math.min(LONGEST_PAUSE_MS, 2 ** attempt))
    }
    throw deadline.refusal(obstacle)
  }

  /** Sends a script, by its hash first. */
  async #run({ sha, source }: Script, args: readonly RedisArgument[], form: Form): Promise<Ended> {
    const { client } = this
    const all = [this.#keys.length, ...this.#keys, ...args] as const
    const [short, long] =
      form === 'text'
        ? [() => client.evalsha(sha, ...all), () => client.eval(source, ...all)]
        : [
            () => client.evalshaBuffer?.(sha, ...all) ?? client.callBuffer('evalsha', [sha, ...all]),
            () => client.evalBuffer?.(source, ...all) ?? client.callBuffer('eval', [source, ...all]),
          ]
    const ended = await settled(short)
    const forgotten = 'failure' in ended && ended.failure.kind === 'unknown script'
    return forgotten ? settled(long) : ended
  }

  /** @throws StoreError where the client will not come back by itself. */
  #refuseForGood(cause: Error): void {
    if (this.client.status === 'end') throw clientClosed(cause)
    if (cause.message.includes('max retries per request')) throw unreachable(cause)
  }
}

async function settled(send: () => Promise<unknown>): Promise<Ended> {
  try {
    return { answer: await send() }
  } catch (error) {
    return { failure: failureOf(error) }
  }
}

function accepted<T>([status, ...answer]: Answer<T>): Answer<T> | null {
  const word = String(status)
  if (word === 'ok') return answer
  if (word === 'absent') return null
  throw refusalOf(word, String(answer[0] ?? ''))
}

const watched = new WeakMap<RedisClient, { count: number }>()

/** Counts the connections of a client that broke since a store first used it. */
function breaksOf(client: RedisClient): { readonly count: number } {
  const there = watched.get(client)
  if (there !== undefined) return there
  const breaks = { count: 0 }
  const broken = () => {
    breaks.count += 1
  }
  // A Cluster has a connection to each node, and loses the node with it.
  for (const event of ['close', '-node']) client.on(event, broken)
  watched.set(client, breaks)
  return breaks
}
