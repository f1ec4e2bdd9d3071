import { spawn } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Account, freePort, type PostgresPrograms, serverFolder } from './programs.ts'

/** A role that has to say its password; all others are let in by name. */
export const ROLE_WITH_PASSWORD = 'with_password'

export interface PostgresServerOptions {
  /** Settings that differ from the ones for tests. */
  readonly settings?: Readonly<Record<string, string>>
  readonly initdb?: readonly string[]
}

/** A PostgreSQL server of its own on a private port, with its data in a temporary folder. */
export class PostgresServer {
  readonly programs: PostgresPrograms
  readonly port: number
  readonly data: string
  readonly #folder: string
  readonly #settings: Readonly<Record<string, string>>

  private constructor(programs: PostgresPrograms, port: number, options: PostgresServerOptions) {
    this.programs = programs
    this.port = port
    this.#folder = serverFolder('postgres', programs.account)
    this.data = join(this.#folder, 'data')
    this.#settings = {
      port: String(port),
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      max_connections: '200',
      shared_buffers: '64MB',
      log_min_messages: 'warning',
      // A crash of the machine takes the tests with it.
      fsync: 'off',
      ...options.settings,
    }
  }

  static async start(
    programs: PostgresPrograms,
    options: PostgresServerOptions = {},
  ): Promise<PostgresServer> {
    const server = new PostgresServer(programs, await freePort(), options)
    try {
      const initdb = ['-D', server.data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-sync']
      await server.run('initdb', [...initdb, ...(options.initdb ?? ['--locale=C'])])
      const hba = join(server.data, 'pg_hba.conf')
      const rule = `host all ${ROLE_WITH_PASSWORD} 127.0.0.1/32 scram-sha-256\n`
      writeFileSync(hba, rule + readFileSync(hba, 'utf8'))
      await server.up()
      return server
    } catch (error) {
      server.remove()
      throw error
    }
  }

  /** A server that follows another one. */
  static async follow(primary: PostgresServer): Promise<PostgresServer> {
    const server = new PostgresServer(primary.programs, await freePort(), {})
    const from = ['-h', '127.0.0.1', '-p', String(primary.port), '-U', 'postgres']
    await server.run('pg_basebackup', [...from, '-D', server.data, '--write-recovery-conf', '-c', 'fast'])
    await server.up()
    return server
  }

  /** The address of a database. */
  url(user = 'postgres', database = 'postgres'): string {
    return `postgres://${user}@127.0.0.1:${this.port}/${database}`
  }

  async up(): Promise<void> {
    const settings = Object.entries(this.#settings).map(([name, value]) => `-c ${name}='${value}'`)
    const log = join(this.#folder, 'log')
    await this.run('pg_ctl', ['start', '-w', '-s', '-D', this.data, '-l', log, '-o', settings.join(' ')])
  }

  /** @param how - `immediate` is a crash. */
  async down(how: 'fast' | 'immediate' = 'immediate'): Promise<void> {
    await this.run('pg_ctl', ['stop', '-w', '-s', '-D', this.data, '-m', how])
  }

  async promote(): Promise<void> {
    await this.run('pg_ctl', ['promote', '-w', '-s', '-D', this.data])
  }

  async stop(): Promise<void> {
    // It may not run any more.
    await this.down().catch(() => {})
    this.remove()
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true })
    if (this.programs.copy !== undefined) rmSync(this.programs.copy, { recursive: true, force: true })
  }

  run(program: string, args: readonly string[]): Promise<void> {
    return runProgram(join(this.programs.bin, program), args, this.programs.account)
  }
}

/** Runs a program to its end. @throws Error with all it printed when it fails */
function runProgram(file: string, args: readonly string[], account: Account): Promise<void> {
  return new Promise((resolve, reject) => {
    // A server that a program leaves behind must not hold its output open.
    const child = spawn(file, args, {
      ...account,
      cwd: '/',
      stdio: ['ignore', 'pipe', 'pipe'],
      env: ENVIRONMENT,
    })
    const printed: Buffer[] = []
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => printed.push(chunk))
    child.once('error', reject)
    child.once('exit', (code) => {
      child.stdout.destroy()
      child.stderr.destroy()
      if (code === 0) resolve()
      else reject(new Error(`${file} ended with ${code}:\n${Buffer.concat(printed).toString()}`))
    })
  })
}

/** Without the caller's PG… variables, which the programs obey. */
const ENVIRONMENT = { PATH: process.env['PATH'] ?? '', LC_ALL: 'C', TZ: 'UTC' }
