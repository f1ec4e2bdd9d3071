import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { Address, Said, Task } from './protocol.ts'

const PROGRAM = fileURLToPath(new URL('rotator-process.ts', import.meta.url))

type Child = ChildProcessByStdio<Writable, Readable, null>

/** How a process came to its end. */
export type RotatorEnd =
  | { readonly how: 'killed'; readonly atMs: number }
  | { readonly how: 'ended'; readonly status: string; readonly calls: number }

/** A process of `rotator-process.ts` that is open. */
export class Rotator {
  readonly #child: Child
  readonly #heard: readonly Said[]
  readonly #closed: Promise<number>

  /** @param closed - Fulfils when the process is gone and all it said is heard: with the time of that. */
  constructor(child: Child, heard: readonly Said[], closed: Promise<number>) {
    this.#child = child
    this.#heard = heard
    this.#closed = closed
  }

  give(task: Task): void {
    this.#child.stdin.write(`${JSON.stringify(task)}\n`)
  }

  /** Waits until the process is gone. @throws Error when it failed */
  async end(): Promise<RotatorEnd> {
    const atMs = await this.#closed
    if (this.#child.signalCode === 'SIGKILL') return { how: 'killed', atMs }
    const said = this.#heard.find((each) => each.is === 'ended')
    if (this.#child.exitCode !== 0 || said?.is !== 'ended')
      throw new Error(`a rotator ended with ${this.#child.exitCode} and had not reached the end`)
    const { status, calls } = said
    return { how: 'ended', status, calls }
  }

  /** Ends it before it was given a task. */
  async leave(): Promise<void> {
    this.#child.stdin.end()
    await this.#closed
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.end()
  }
}

/** Keeps some processes started ahead: a start takes longer than most of their lives. */
export class Rotators {
  readonly #kind: Address['kind']
  readonly #cache = mkdtempSync(join(tmpdir(), 'rotators-'))
  readonly #children = new Set<Child>()
  readonly #spare: Promise<Rotator>[] = []
  #isClosed = false

  private constructor(kind: Address['kind']) {
    this.#kind = kind
  }

  /** @param ahead - How many are to be open when one is taken. */
  static async start(kind: Address['kind'], ahead: number): Promise<Rotators> {
    const rotators = new Rotators(kind)
    // What it compiled is left to the others when it ends in good order, which they never do.
    await (await rotators.#start()).leave()
    for (let n = 0; n < ahead; n += 1) rotators.#startSpare()
    return rotators
  }

  async take(): Promise<Rotator> {
    const next = this.#spare.shift() ?? this.#start()
    this.#startSpare()
    return await next
  }

  async close(): Promise<void> {
    this.#isClosed = true
    const gone = [...this.#children].map((child) => once(child, 'close'))
    for (const child of this.#children) child.kill('SIGKILL')
    await Promise.allSettled([...gone, ...this.#spare])
    rmSync(this.#cache, { recursive: true, force: true })
  }

  #startSpare(): void {
    const spare = this.#start()
    // Whoever takes it is told; until then nobody is.
    spare.catch(() => {})
    this.#spare.push(spare)
  }

  async #start(): Promise<Rotator> {
    const args = ['--conditions=@talos/source', '--disable-warning=ExperimentalWarning', PROGRAM, this.#kind]
    const child = spawn(process.execPath, args, {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, NODE_COMPILE_CACHE: this.#cache },
    })
    this.#children.add(child)
    const closed = once(child, 'close').then(() => {
      this.#children.delete(child)
      return performance.now()
    })
    // A process that is killed while it is told something breaks the pipe; its end says so already.
    child.stdin.on('error', () => {})
    const heard: Said[] = []
    const open = Promise.withResolvers<void>()
    createInterface({ input: child.stdout }).on('line', (line) => {
      heard.push(JSON.parse(line) as Said)
      open.resolve()
    })
    child.once('close', () => open.reject(new Error('a rotator ended before it was open')))
    // Nobody may be waiting when the rotators are closed.
    open.promise.catch(() => {})
    await open.promise
    if (this.#isClosed) throw new Error('the rotators are closed')
    return new Rotator(child, heard, closed)
  }
}
