import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { freePort, isFree } from './programs.ts'

const SERVER = '/usr/bin/redis-server'
const CLIENT = '/usr/bin/redis-cli'
const START_TIMEOUT_MS = 60_000
const SLOTS = 16_384
const MASTERS = 3

/** What acknowledged writes need to survive a crash. */
const SETTINGS = {
  bind: '127.0.0.1',
  save: '',
  appendonly: 'yes',
  appendfsync: 'always',
  'repl-diskless-sync-delay': '0',
}

/** A Redis server of its own on a private port, with its data in a temporary folder. */
export class RedisServer {
  readonly port: number
  readonly #folder: string
  readonly #settings: Readonly<Record<string, string>>
  #process: ChildProcess | undefined

  private constructor(port: number, settings: Readonly<Record<string, string>>) {
    this.port = port
    this.#folder = mkdtempSync(join(tmpdir(), 'redis-'))
    this.#settings = { ...SETTINGS, port: String(port), ...settings }
  }

  /** @param settings - Settings that differ from the ones for tests. */
  static async start(settings: Readonly<Record<string, string>> = {}): Promise<RedisServer> {
    for (const program of [SERVER, CLIENT]) {
      if (!existsSync(program)) throw new Error('Redis is missing; run: apt-get install -y redis-server')
    }
    // A node of a Cluster also takes the port 10,000 above its own.
    let port = await freePort()
    while (port > 55_000 || !(await isFree(port + 10_000))) port = await freePort()
    const server = new RedisServer(port, settings)
    try {
      await server.up()
      return server
    } catch (error) {
      server.remove()
      throw error
    }
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  /** The folder of its data. */
  get folder(): string {
    return this.#folder
  }

  /** Starts it, and waits until it has loaded its data unless told otherwise. */
  async up(loaded = true): Promise<void> {
    const settings = Object.entries(this.#settings).flatMap(([name, value]) => [
      `--${name}`,
      ...value.split(' ').map((word) => (word === '""' ? '' : word)),
    ])
    const running = spawn(SERVER, settings, { cwd: this.#folder, stdio: 'ignore' })
    this.#process = running
    const wanted = loaded ? /^(PONG|NOAUTH)/ : /^(PONG|NOAUTH|LOADING)/
    const deadline = performance.now() + START_TIMEOUT_MS
    while (!wanted.test(redisCli(this.port, 'PING'))) {
      if (running.exitCode !== null || performance.now() > deadline) throw new Error('Redis did not start')
      await pause(5)
    }
  }

  /** @param how - `SIGKILL` is a crash. */
  async down(how: 'SIGTERM' | 'SIGKILL' = 'SIGKILL'): Promise<void> {
    const running = this.#process
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return
    const ended = once(running, 'exit')
    running.kill(how)
    await ended
  }

  async stop(): Promise<void> {
    await this.down()
    this.remove()
  }

  /** Ends it without waiting, for a process that ends itself. */
  remove(): void {
    this.#process?.kill('SIGKILL')
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** Three masters without replicas. */
export class RedisCluster {
  readonly nodes: readonly RedisServer[]

  private constructor(nodes: readonly RedisServer[]) {
    this.nodes = nodes
  }

  static async start(): Promise<RedisCluster> {
    const cluster = new RedisCluster(
      await Promise.all(
        Array.from({ length: MASTERS }, () =>
          RedisServer.start({ 'cluster-enabled': 'yes', 'cluster-node-timeout': '5000', appendfsync: 'no' }),
        ),
      ),
    )
    const [first, ...others] = cluster.nodes as [RedisServer, ...RedisServer[]]
    for (const [n, { port }] of cluster.nodes.entries()) {
      const [from, to] = [Math.floor((n * SLOTS) / MASTERS), Math.floor(((n + 1) * SLOTS) / MASTERS) - 1]
      redisCli(port, 'CLUSTER', 'ADDSLOTSRANGE', String(from), String(to))
      redisCli(port, 'CLUSTER', 'SET-CONFIG-EPOCH', String(n + 1))
    }
    for (const { port } of others) redisCli(first.port, 'CLUSTER', 'MEET', '127.0.0.1', String(port))
    const deadline = performance.now() + START_TIMEOUT_MS
    while (
      !cluster.nodes.every(({ port }) => redisCli(port, 'CLUSTER', 'INFO').includes('cluster_state:ok'))
    ) {
      if (performance.now() > deadline) throw new Error('the Redis Cluster did not come together')
      await pause(20)
    }
    return cluster
  }

  get url(): string {
    return (this.nodes[0] as RedisServer).url
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()))
  }
}

/** Runs one command and answers what is printed. */
function redisCli(port: number, ...command: readonly string[]): string {
  return spawnSync(CLIENT, ['-h', '127.0.0.1', '-p', String(port), ...command], { encoding: 'utf8' }).stdout
}
