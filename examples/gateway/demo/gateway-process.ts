import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { isDynamodb, isPostgres, isRedis } from '../open-store.ts'
import type { Evidence } from './canary.ts'
import { type Keks, keyEnvironment } from './keks.ts'

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url))
const START_TIMEOUT_MS = 20_000

export interface GatewayOptions {
  /** How the process is called in the evidence. */
  readonly label: string
  readonly database: string
  readonly upstream: string
  readonly rootToken: string
  readonly keks: Keks
  readonly currentKekId: string
  readonly evidence: Evidence
  /** Variables in place of those above. */
  readonly environment?: Readonly<Record<string, string>>
}

export interface Ending {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly elapsedMs: number
}

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** Only what a gateway needs: whatever keys the surrounding shell holds stay out. */
function environment(options: GatewayOptions): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {}
  for (const name of ['PATH', 'SystemRoot', 'TEMP', 'TMP', 'TMPDIR']) {
    if (process.env[name] !== undefined) env[name] = process.env[name]
  }
  return {
    ...env,
    ...keyEnvironment(options.keks, options.currentKekId),
    NODE_NO_WARNINGS: '1',
    PORT: '0',
    ...databaseEnvironment(options.database),
    UPSTREAM_URL: options.upstream,
    ROOT_TOKEN: options.rootToken,
    ...options.environment,
  }
}

function databaseEnvironment(database: string): Readonly<Record<string, string>> {
  if (isRedis(database)) return { STORE: 'redis', DATABASE_URL: database }
  if (isDynamodb(database)) return { STORE: 'dynamodb', DATABASE_URL: database }
  return isPostgres(database) ? { STORE: 'postgres', DATABASE_URL: database } : { DATABASE: database }
}

/** One gateway in a process of its own. */
export class GatewayProcess {
  readonly #child: ChildProcess
  readonly #ended: Promise<Ending>
  #output = ''
  #url = ''

  private constructor(options: GatewayOptions) {
    const child = spawn(process.execPath, ['--conditions=@talos/source', MAIN], {
      env: environment(options),
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    running.add(child)
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        options.evidence.add(`output of ${options.label}`, chunk)
        this.#output += chunk.toString()
      })
    }
    const startedAt = performance.now()
    this.#ended = once(child, 'close').then(([code, signal]) => {
      running.delete(child)
      return { code, signal, elapsedMs: performance.now() - startedAt }
    })
  }

  /** Starts a gateway and returns when it listens. */
  static async start(options: GatewayOptions): Promise<GatewayProcess> {
    const gateway = new GatewayProcess(options)
    await gateway.#listening(options.label)
    return gateway
  }

  /** Runs a gateway that is expected to give up by itself. */
  static async runToEnd(options: GatewayOptions): Promise<Ending & { readonly output: string }> {
    const gateway = new GatewayProcess(options)
    const ending = await gateway.#ended
    return { ...ending, output: gateway.output }
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  get url(): string {
    return this.#url
  }

  /** All it printed so far, both streams. */
  get output(): string {
    return this.#output
  }

  /** Asks it to end: as an orchestrator does, or as somebody at a terminal. */
  terminate(signal: 'SIGTERM' | 'SIGINT' = 'SIGTERM'): Promise<Ending> {
    return this.#end(signal)
  }

  /** Ends it without giving it a chance to do anything. */
  kill(): Promise<Ending> {
    return this.#end('SIGKILL')
  }

  async #end(signal: NodeJS.Signals): Promise<Ending> {
    const startedAt = performance.now()
    this.#child.kill(signal)
    return { ...(await this.#ended), elapsedMs: performance.now() - startedAt }
  }

  async #listening(label: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const look = (): void => {
      const match = /^listening on (http:\S+)$/m.exec(this.#output)
      if (match?.[1] === undefined) return
      this.#url = match[1]
      resolve()
    }
    const timer = setTimeout(() => {
      reject(new Error(`${label} did not listen within ${START_TIMEOUT_MS / 1000} s:\n${this.#output}`))
    }, START_TIMEOUT_MS)
    this.#child.stdout?.on('data', look)
    void this.#ended.then(({ code, signal }) => {
      reject(new Error(`${label} ended with ${code ?? signal} before it listened:\n${this.#output}`))
    })
    try {
      await promise
    } finally {
      clearTimeout(timer)
      this.#child.stdout?.off('data', look)
    }
  }
}
