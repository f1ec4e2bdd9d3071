import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { until } from '../../../examples/gateway/demo/checks.ts'
import { type Keks, keyEnvironment } from '../../../examples/gateway/demo/keks.ts'
import type { Fault, InstanceSettings, Questions, Said } from './protocol.ts'

const PROGRAM = fileURLToPath(new URL('instance-process.ts', import.meta.url))
const ANSWER_MS = 20_000

const running = new Set<Instance>()
process.on('exit', () => {
  for (const instance of running) instance.end()
})

/** The KEKs a pod is deployed with, by their texts, and the one it names as current. */
export interface Environment {
  readonly keks: Keks
  readonly current: string
}

export interface Refusal {
  readonly during: 'put' | 'read'
  readonly name: string
  readonly fault: Fault
}

/** A question that a process refused to answer. */
export class Refused extends Error {
  readonly fault: Fault

  constructor(fault: Fault) {
    super(`${fault.code}: ${fault.message}`)
    this.fault = fault
  }
}

/** One instance of the service: its process, and everything that it has said. */
export class Instance {
  readonly slot: string
  readonly environment: Environment
  readonly acknowledgedAt: number[] = []
  readonly refusals: Refusal[] = []
  readonly wrong: string[] = []
  readonly promotedAt: number[] = []
  openedAt = Number.POSITIVE_INFINITY
  /** What became of a write that was held: `v1 fenced` and the like. */
  readonly late: string[] = []
  reads = 0
  held: string | null = null
  isFrozen = false
  isClosing = false
  isGone = false
  readonly #process: ChildProcessByStdio<Writable, Readable, null>
  readonly #ended: Promise<unknown>
  readonly #questions = new Map<number, PromiseWithResolvers<unknown>>()
  #asked = 0

  private constructor(
    settings: InstanceSettings,
    environment: Environment,
    compiled: string,
    hear: (said: Said) => void,
  ) {
    this.slot = settings.slot
    this.environment = environment
    this.#process = spawn(
      process.execPath,
      ['--conditions=@talos/source', '--disable-warning=ExperimentalWarning', PROGRAM],
      {
        env: {
          ...keyEnvironment(environment.keks, environment.current),
          INSTANCE: JSON.stringify(settings),
          NODE_COMPILE_CACHE: compiled,
          ...(process.env['PATH'] === undefined ? {} : { PATH: process.env['PATH'] }),
        },
        stdio: ['pipe', 'pipe', 'inherit'],
      },
    )
    running.add(this)
    // Of a process that is gone its end says so already.
    this.#process.stdin.on('error', () => {})
    const lines = createInterface({ input: this.#process.stdout })
    lines.on('line', (line) => {
      const said = JSON.parse(line) as Said
      hear(said)
      this.#hear(said)
    })
    this.#ended = Promise.all([once(lines, 'close'), once(this.#process, 'exit')]).then(() => {
      this.isGone = true
      running.delete(this)
      const error = new Error(`the process of ${this.slot} ended before it answered`)
      for (const { reject } of this.#questions.values()) reject(error)
    })
  }

  /**
   * Starts a process and returns when its vault is open.
   *
   * @param compiled - A folder for what Node compiles.
   * @param hear - Hears every line.
   * @param made - Told of the instance at once, before its vault is open.
   */
  static async start(
    settings: InstanceSettings,
    environment: Environment,
    compiled: string,
    hear: (said: Said) => void,
    made: (instance: Instance) => void,
  ): Promise<Instance> {
    const instance = new Instance(settings, environment, compiled, hear)
    made(instance)
    await until(`${settings.slot} opens its vault`, ANSWER_MS, () => {
      if (instance.isGone) throw new Error(`the process of ${settings.slot} ended before its vault was open`)
      return Number.isFinite(instance.openedAt) || undefined
    })
    return instance
  }

  get pid(): number {
    return this.#process.pid ?? 0
  }

  /** Whether it reads and writes. */
  get isRunning(): boolean {
    return !this.isGone && !this.isFrozen && !this.isClosing
  }

  holds(kekId: string, text: string | undefined): boolean {
    return this.environment.keks[kekId] === text
  }

  /** @throws Refused with what the vault threw. */
  async ask<Ask extends keyof Questions>(
    ask: Ask,
    given: Questions[Ask]['given'],
  ): Promise<Questions[Ask]['answer']> {
    if (this.isGone) throw new Error(`the process of ${this.slot} is gone`)
    const id = this.#asked
    this.#asked += 1
    const question = Promise.withResolvers<unknown>()
    this.#questions.set(id, question)
    this.#process.stdin.write(`${JSON.stringify({ id, ask, given })}\n`)
    try {
      return (await question.promise) as Questions[Ask]['answer']
    } finally {
      this.#questions.delete(id)
    }
  }

  /** Ends it in good order. */
  async stop(): Promise<void> {
    await this.ask('quiet', null)
    await this.ask('close', null)
    await this.#ended
  }

  /** Ends it without giving it a chance to do anything; all it had said is heard when this returns. */
  async kill(): Promise<void> {
    this.end()
    await this.#ended
  }

  end(): void {
    this.#process.kill('SIGKILL')
  }

  /** Asks it to end while a write of it is held; it ends once that is released. */
  beginToClose(): void {
    this.isClosing = true
    this.ask('close', null).catch(() => {})
  }

  /** Releases the write that is held, and waits until it has ended by itself. */
  async endOfClosing(): Promise<void> {
    await this.ask('release', null)
    await this.#ended
  }

  /** Lets its next write be wrapped, and holds it before the store. */
  async holdWrite(): Promise<void> {
    await this.ask('hold', null)
    await until(`a write of ${this.slot} is held`, ANSWER_MS, () => this.held ?? undefined)
  }

  freeze(): void {
    this.isFrozen = true
    this.#process.kill('SIGSTOP')
  }

  /** Lets it go on, with the write that is held. */
  async thaw(): Promise<void> {
    this.#process.kill('SIGCONT')
    this.isFrozen = false
    await this.ask('release', null)
  }

  #hear(said: Said): void {
    if (said.is === 'open') this.openedAt = said.at
    else if (said.is === 'put') this.acknowledgedAt.push(said.at)
    else if (said.is === 'read') this.reads += 1
    else if (said.is === 'refused') this.refusals.push(said)
    else if (said.is === 'wrong') this.wrong.push(`${this.slot} read ${said.value} as ${said.name}`)
    else if (said.is === 'held') this.held = said.name
    else if (said.is === 'wrote') this.late.push(`${said.kekId} ${said.outcome}`)
    else if (said.is === 'event' && said.event.type === 'promoted') this.promotedAt.push(said.at)
    else if (said.is === 'answer') this.#questions.get(said.id)?.resolve(said.value)
    else if (said.is === 'failed') this.#questions.get(said.id)?.reject(new Refused(said.fault))
  }
}
