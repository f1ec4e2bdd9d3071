import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

const PROGRAM = fileURLToPath(new URL('store-process.ts', import.meta.url))

/** A process that runs one task of `store-process.ts`. */
export class Child {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>
  readonly #closed: Promise<unknown>
  readonly #waiting: ((line: string | null) => void)[] = []
  /** All that was printed so far. */
  readonly lines: string[] = []
  #taken = 0

  constructor(task: string, path: string, argument = '') {
    const args = ['--conditions=@talos/source', '--disable-warning=ExperimentalWarning', PROGRAM]
    this.#process = spawn(process.execPath, [...args, task, path, argument], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    // A child that is killed while it is told something breaks the pipe; its exit says so already.
    this.#process.stdin.on('error', () => {})
    const reader = createInterface({ input: this.#process.stdout })
    reader.on('line', (line) => {
      this.lines.push(line)
      if (this.#waiting.length > 0) this.#waiting.shift()?.(this.lines[this.#taken++] ?? null)
    })
    this.#closed = once(reader, 'close')
    reader.on('close', () => {
      for (const resolve of this.#waiting) resolve(null)
    })
    onTestFinished(() => {
      this.#process.kill('SIGKILL')
    })
  }

  /** The next line it prints. */
  async line(): Promise<string> {
    const line = await new Promise<string | null>((resolve) => {
      if (this.#taken < this.lines.length) resolve(this.lines[this.#taken++] ?? null)
      else this.#waiting.push(resolve)
    })
    if (line === null) throw new Error('the process ended before it said what was expected')
    return line
  }

  go(): void {
    this.#process.stdin.write('go\n')
  }

  /** Ends it without any chance to tidy up, and waits until all it had printed is read. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL')
    await this.#closed
  }
}
