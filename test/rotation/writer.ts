import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import type { WriterTask, Written } from './protocol.ts'

const PROGRAM = fileURLToPath(new URL('writer-process.ts', import.meta.url))

/** A process of `writer-process.ts` at work. */
export class Writer {
  readonly #stop: () => Promise<string>

  private constructor(stop: () => Promise<string>) {
    this.#stop = stop
  }

  /** Starts it, and waits until it writes. It is ended when the test is over. */
  static async start(task: WriterTask): Promise<Writer> {
    const args = ['--conditions=@talos/source', '--disable-warning=ExperimentalWarning', PROGRAM]
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    onTestFinished(() => void child.kill('SIGKILL'))
    const lines: string[] = []
    const reader = createInterface({ input: child.stdout })
    reader.on('line', (line) => lines.push(line))
    const closed = once(child, 'close')
    child.stdin.write(`${JSON.stringify(task)}\n`)
    await Promise.race([once(reader, 'line'), closed])
    if (lines.length === 0) throw new Error('the writer ended before it wrote anything')
    return new Writer(async () => {
      child.stdin.end()
      await closed
      return lines[1] ?? ''
    })
  }

  /** Has it finish what it is at, and end. */
  async stop(): Promise<Written> {
    return JSON.parse(await this.#stop()) as Written
  }
}
