import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { onTestFinished } from 'vitest'

/** What a command left behind. */
export interface Ran {
  readonly code: number
  /** All it printed until now: a process in the background goes on printing. */
  printed(): string
}

/**
 * One bash session, in which commands are run as they stand in a guide: variables, functions and jobs stay from one to the
 * next. It has no variables of the surrounding shell but PATH, on which `node` is the running one. Everything it started is
 * ended with the test.
 */
export class Shell {
  readonly #bash: ChildProcess
  readonly #folder = mkdtempSync(join(tmpdir(), 'shell-'))
  #answer = ''
  #runs = 0
  #isOver = false
  #onNews: () => void = () => {}

  constructor(options: { readonly cwd: string; readonly env?: Readonly<Record<string, string>> }) {
    requirePrograms('bash', 'curl', 'openssl')
    const path = [dirname(process.execPath), process.env['PATH']].join(delimiter)
    this.#bash = spawn('bash', ['--noprofile', '--norc'], {
      cwd: options.cwd,
      env: { PATH: path, HOME: this.#folder, ...options.env },
      stdio: ['pipe', 'pipe', 'inherit'],
      // A process group of its own, so that what it put into the background can be ended with it.
      detached: true,
    })
    this.#bash.stdout?.on('data', (chunk: Buffer) => {
      this.#answer += chunk.toString()
      this.#onNews()
    })
    this.#bash.stdout?.on('end', () => {
      this.#isOver = true
      this.#onNews()
    })
    onTestFinished(async () => {
      const ended =
        this.#bash.exitCode === null && this.#bash.signalCode === null ? once(this.#bash, 'exit') : null
      if (this.#bash.pid !== undefined) killGroup(this.#bash.pid)
      await ended
      rmSync(this.#folder, { recursive: true, force: true })
    })
  }

  /** Runs commands and waits for them, not for what they put into the background. */
  async run(commands: string): Promise<Ran> {
    this.#runs += 1
    const file = join(this.#folder, `output-${this.#runs}`)
    const mark = `--- ${this.#runs} ended with `
    this.#bash.stdin?.write(`{\n${commands}\n} >'${file}' 2>&1 </dev/null\necho "${mark}$?"\n`)
    const ending = new RegExp(`^${mark}(\\d+)$`, 'm')
    for (;;) {
      const [, code] = ending.exec(this.#answer) ?? []
      if (code !== undefined) return { code: Number(code), printed: () => readFileSync(file, 'utf8') }
      if (this.#isOver) throw new Error(`bash ended during:\n${commands}`)
      await new Promise<void>((resolve) => {
        this.#onNews = resolve
      })
    }
  }
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // All of it has ended already.
  }
}

/** @throws Error with the line that installs what is missing. */
export function requirePrograms(...programs: readonly string[]): void {
  const missing = programs.filter((program) => spawnSync(program, ['--version']).error !== undefined)
  if (missing.length > 0) {
    throw new Error(
      `the guides need ${missing.join(' and ')}; install: apt-get install --yes ${missing.join(' ')} (or your system's way)`,
    )
  }
}
