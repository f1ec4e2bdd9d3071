import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { PostgresServer } from './postgres-server.ts'
import { freePort, pgbouncerProgram, serverFolder } from './programs.ts'

const START_TIMEOUT_MS = 60_000

/** PgBouncer in front of a server, in transaction mode: a connection to it is another one to the server each time. */
export class PgBouncer {
  readonly url: string
  readonly #process: ChildProcess
  readonly #folder: string

  private constructor(url: string, running: ChildProcess, folder: string) {
    this.url = url
    this.#process = running
    this.#folder = folder
  }

  static async start(server: PostgresServer): Promise<PgBouncer> {
    const { file, account } = pgbouncerProgram()
    const port = await freePort()
    const folder = serverFolder('pgbouncer', account)
    const settings = join(folder, 'pgbouncer.ini')
    writeFileSync(
      settings,
      `[databases]
* = host=127.0.0.1 port=${server.port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 12
max_client_conn = 300
`,
    )
    if (account.uid !== undefined) chownSync(settings, account.uid, account.gid ?? account.uid)
    const running = spawn(file, ['-q', settings], { ...account, cwd: '/', stdio: 'ignore' })
    const deadline = performance.now() + START_TIMEOUT_MS
    while (!(await answers(port))) {
      if (running.exitCode !== null || performance.now() > deadline)
        throw new Error('PgBouncer did not start')
      await pause(10)
    }
    return new PgBouncer(`postgres://postgres@127.0.0.1:${port}/postgres`, running, folder)
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode === null) {
      const ended = once(this.#process, 'exit')
      this.#process.kill('SIGKILL')
      await ended
    }
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
