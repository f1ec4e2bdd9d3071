import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Asked, type InstanceSettings, type Said, sharedClockMs } from './protocol.ts'

const PROGRAM = fileURLToPath(new URL('./instance-process.ts', import.meta.url))

/** How a rotation ended, as one instance heard of it. */
export interface Ended {
  readonly status: string
  readonly rewrapped: number
  readonly failures: number
}

/** A process of `instance-process.ts`. */
export class Instance {
  readonly #child: ChildProcess
  readonly #answers: PromiseWithResolvers<unknown>[] = []
  #ended = noticed(Promise.withResolvers<Ended>())

  /** @param options - Of Node, beside those that it needs. */
  constructor(options: readonly string[] = []) {
    this.#child = fork(PROGRAM, {
      execArgv: ['--conditions=@talos/source', ...options],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    this.#child.on('message', (said: Said) => this.#hear(said))
    this.#child.once('exit', () => this.#fail(new Error('An instance ended.')))
    // With the process its channel ends; that is told above.
    this.#child.on('error', (error) => this.#fail(error))
  }

  /** Opens a vault. */
  async open(settings: InstanceSettings): Promise<void> {
    this.#ended = noticed(Promise.withResolvers<Ended>())
    await this.#ask({ ask: 'open', settings })
  }

  /** Begins a rotation, or joins the one that was begun. */
  async rotate(): Promise<void> {
    await this.#ask({ ask: 'rotate' })
  }

  /** Fulfils when the instance has heard of the end of a rotation. */
  get ended(): Promise<Ended> {
    return this.#ended.promise
  }

  /**
   * Sends it requests for secrets at an even pace, whether or not the ones before were answered.
   *
   * @returns How long each took from the time it was sent to its end, in milliseconds.
   */
  async load(
    name: (request: number) => string,
    perSecond: number,
    until: Promise<unknown>,
  ): Promise<number[]> {
    await this.#ask({ ask: 'latencies' })
    let isOver = false
    const over = until.finally(() => {
      isOver = true
    })
    const beganMs = sharedClockMs()
    for (let request = 0; !isOver; request += 1) {
      this.#child.send({ get: name(request), atMs: sharedClockMs() })
      await pause(Math.max(0, beganMs + ((request + 1) * 1_000) / perSecond - sharedClockMs()))
    }
    await over
    return (await this.#ask({ ask: 'latencies' })) as number[]
  }

  /** The most memory that the process ever had, of the operating system's view, in bytes. */
  async peakBytes(): Promise<number> {
    return (await this.#ask({ ask: 'peak' })) as number
  }

  /** Closes its vault, if one is open. */
  async close(): Promise<void> {
    await this.#ask({ ask: 'close' })
  }

  async stop(): Promise<void> {
    if (!this.#child.connected) return
    await this.close()
    const gone = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await gone
  }

  #ask(asked: Asked): Promise<unknown> {
    const answer = Promise.withResolvers<unknown>()
    this.#answers.push(answer)
    this.#child.send(asked)
    return answer.promise
  }

  #hear(said: Said): void {
    if ('answer' in said) this.#answers.shift()?.resolve(said.answer)
    else if ('failed' in said) this.#fail(new Error(said.failed))
    else this.#ended.resolve({ status: said.ended, rewrapped: said.rewrapped, failures: said.failures })
  }

  #fail(error: Error): void {
    this.#ended.reject(error)
    for (const answer of this.#answers.splice(0)) answer.reject(error)
  }
}

/** Nobody may wait for it yet when it fails. */
function noticed(ended: PromiseWithResolvers<Ended>): PromiseWithResolvers<Ended> {
  ended.promise.catch(() => {})
  return ended
}
