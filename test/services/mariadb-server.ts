import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type Account, freePort, serverFolder } from './programs.ts'

const START_TIMEOUT_MS = 30_000
const SERVER = '/usr/sbin/mariadbd'
const INSTALLER = '/usr/bin/mariadb-install-db'

/** A MariaDB server of its own on a private port and socket, with its data in a temporary folder. */
export class MariadbServer {
  readonly port: number
  readonly #folder: string
  readonly #account: Account
  readonly #settings: Readonly<Record<string, string>>
  #process: ChildProcess | undefined

  private constructor(port: number, account: Account, settings: Readonly<Record<string, string>>) {
    this.port = port
    this.#account = account
    this.#folder = serverFolder('mariadb', account)
    this.#settings = {
      datadir: join(this.#folder, 'data'),
      socket: join(this.#folder, 'socket'),
      'pid-file': join(this.#folder, 'pid'),
      'log-error': join(this.#folder, 'log'),
      port: String(port),
      'bind-address': '127.0.0.1',
      'max-connections': '300',
      'innodb-buffer-pool-size': '64M',
      'innodb-log-file-size': '16M',
      ...settings,
    }
  }

  /**
   * Makes a server and starts it.
   *
   * @param settings - Settings of `mariadbd` that differ from the ones for tests.
   * @throws Error that says which program is missing and what installs it, or what the server printed.
   */
  static async start(settings: Readonly<Record<string, string>> = {}): Promise<MariadbServer> {
    for (const program of [SERVER, INSTALLER]) {
      if (existsSync(program)) continue
      throw new Error(`MariaDB (${program}) is missing; run: apt-get install -y mariadb-server`)
    }
    const server = new MariadbServer(await freePort(), serverAccount(), settings)
    try {
      await server.#install()
      await server.up()
      return server
    } catch (error) {
      await server.stop()
      throw error
    }
  }

  /** The address of the server, or of a database in it. */
  url(database = ''): string {
    return `mysql://root@127.0.0.1:${this.port}/${database}`
  }

  async up(): Promise<void> {
    const settings = Object.entries(this.#settings).map(([name, value]) => `--${name}=${value}`)
    const running = spawn(SERVER, ['--no-defaults', ...settings], {
      ...this.#account,
      cwd: '/',
      stdio: 'ignore',
      env: ENVIRONMENT,
    })
    this.#process = running
    const deadline = performance.now() + START_TIMEOUT_MS
    while (!(await greets(this.port))) {
      if (running.exitCode !== null || performance.now() > deadline) {
        const log = join(this.#folder, 'log')
        throw new Error(`MariaDB did not start:\n${existsSync(log) ? readFileSync(log, 'utf8') : ''}`)
      }
      await pause(10)
    }
  }

  /** Ends the server as a crash would. */
  async down(): Promise<void> {
    const running = this.#process
    this.#process = undefined
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return
    const ended = once(running, 'exit')
    running.kill('SIGKILL')
    await ended
  }

  async stop(): Promise<void> {
    await this.down()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async #install(): Promise<void> {
    const { datadir = '' } = this.#settings
    const args = ['--no-defaults', '--auth-root-authentication-method=normal', '--skip-test-db']
    const installing = spawn(INSTALLER, [...args, '--skip-name-resolve', `--datadir=${datadir}`], {
      ...this.#account,
      cwd: '/',
      stdio: ['ignore', 'pipe', 'pipe'],
      env: ENVIRONMENT,
    })
    const printed: Buffer[] = []
    for (const stream of [installing.stdout, installing.stderr])
      stream.on('data', (chunk: Buffer) => printed.push(chunk))
    const [code] = await once(installing, 'close')
    if (code !== 0) throw new Error(`${INSTALLER} ended with ${code}:\n${Buffer.concat(printed)}`)
  }
}

/** The account that the server runs as: `mariadbd` refuses to be root. */
function serverAccount(): Account {
  if (process.getuid?.() !== 0) return {}
  const accounts = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
  for (const wanted of ['mysql', 'nobody']) {
    const found = accounts.find(([name]) => name === wanted)
    if (found !== undefined) return { uid: Number(found[2]), gid: Number(found[3]) }
  }
  return {}
}

/** Whether the server accepts connections: it is the first to speak. */
function greets(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('data', () => {
      resolve(true)
      socket.destroy()
    })
    socket.once('error', () => resolve(false))
    socket.once('close', () => resolve(false))
  })
}

/** Without the caller's MYSQL… variables, which the programs obey. */
const ENVIRONMENT = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', TZ: 'UTC' }
