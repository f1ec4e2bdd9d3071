import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import type { Said, WorkerSettings } from './worker-protocol.ts'

const PROGRAM = fileURLToPath(new URL('worker-process.ts', import.meta.url))

type Kind = Said['is']
type Line<K extends Kind> = Extract<Said, { readonly is: K }>

/** A process that works on shards, and everything that it has said. */
export class Worker {
  readonly said: Said[] = []
  readonly #process: ChildProcessByStdio<Writable, Readable, null>
  readonly #ended: Promise<unknown>
  #isGone = false
  #heard = Promise.withResolvers<void>()

  constructor(settings: WorkerSettings, keys: Readonly<Record<string, string>>) {
    const args = ['--conditions=@talos/source', PROGRAM]
    const PATH = process.env['PATH'] ?? ''
    this.#process = spawn(process.execPath, args, {
      env: { ...keys, PATH, WORKER: JSON.stringify(settings) },
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    // Of a process that is gone its end says so already.
    this.#process.stdin.on('error', () => {})
    const lines = createInterface({ input: this.#process.stdout })
    lines.on('line', (line) => {
      this.said.push(JSON.parse(line) as Said)
      this.#wake()
    })
    this.#ended = Promise.all([once(lines, 'close'), once(this.#process, 'exit')]).then(() => {
      this.#isGone = true
      this.#wake()
    })
    onTestFinished(() => {
      this.#process.kill('SIGKILL')
    })
  }

  /** All lines of one kind so far. */
  all<K extends Kind>(is: K): Line<K>[] {
    return this.said.filter((said): said is Line<K> => said.is === is)
  }

  /** Waits for a line of this kind that fits: one that was said already, or a later one. */
  async heard<K extends Kind>(is: K, fits: (line: Line<K>) => boolean = () => true): Promise<Line<K>> {
    for (;;) {
      const found = this.all(is).find(fits)
      if (found !== undefined) return found
      if (this.#isGone) throw new Error(`the process ended before it said "${is}"`)
      await this.#heard.promise
    }
  }

  tell(command: string): void {
    this.#process.stdin.write(`${command}\n`)
  }

  /** Ends it without any chance to tidy up. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL')
    await this.#ended
  }

  /** Has it close its vault. */
  async close(): Promise<void> {
    this.tell('close')
    await this.#ended
  }

  #wake(): void {
    this.#heard.resolve()
    this.#heard = Promise.withResolvers()
  }
}
