import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { isDynamodb, isPostgres, isRedis } from '../open-store.ts'
import type { Evidence } from './canary.ts'
import { check, DemoFailure } from './checks.ts'
import type { Databases } from './databases.ts'
import { type Ending, GatewayProcess } from './gateway-process.ts'
import type { Keks } from './keks.ts'
import { Ledger } from './ledger.ts'
import { ADMIN_PATH, ConnectionLost, Operator } from './operator.ts'
import type { Screen } from './screen.ts'
import type { Upstream } from './upstream.ts'

/** The secret that the gateway itself uses. */
export const CREDENTIAL = 'openai/prod'
/** The longest an application waits for a gateway that is being restarted. */
const RECONNECT_TIMEOUT_MS = 30_000

/** What the operator of the demo has: one gateway at a time, its database, KEKs and books. */
export class World {
  readonly rootToken = randomBytes(32).toString('base64url')
  readonly ledger = new Ledger()
  readonly screen: Screen
  readonly evidence: Evidence
  readonly upstream: Upstream
  readonly #databases: Databases
  readonly #upstreamUrl: string
  #gateway: GatewayProcess | null = null
  #operator: Operator | null = null
  #starts = 0
  #copy: string | null = null

  constructor(options: {
    readonly screen: Screen
    readonly evidence: Evidence
    readonly upstream: Upstream
    readonly upstreamUrl: string
    readonly databases: Databases
  }) {
    this.screen = options.screen
    this.evidence = options.evidence
    this.upstream = options.upstream
    this.#upstreamUrl = options.upstreamUrl
    this.#databases = options.databases
    this.evidence.watch('a value', Buffer.from(this.ledger.marker))
  }

  get database(): string {
    return this.#databases.database
  }

  /** The database as it was when a copy of it was put aside. */
  get copy(): string {
    check(this.#copy !== null, 'no copy was put aside')
    return this.#copy
  }

  async putCopyAside(): Promise<void> {
    this.#copy = await this.#databases.copy()
  }

  /** How many gateways were started. */
  get starts(): number {
    return this.#starts
  }

  get gateway(): GatewayProcess {
    check(this.#gateway !== null, 'no gateway runs')
    return this.#gateway
  }

  get operator(): Operator {
    check(this.#operator !== null, 'no gateway runs')
    return this.#operator
  }

  /** Starts a gateway in a process of its own and prints the lines that an operator would type. */
  async start(keks: Keks, currentKekId: string, database = this.database): Promise<void> {
    check(this.#gateway === null, 'the gateway before is still running')
    this.#starts += 1
    for (const id of Object.keys(keks)) this.screen.command(`export TALOS_KEK_${id}=…`)
    this.screen.command(`export TALOS_CURRENT_KEK_ID=${currentKekId}`)
    if (isPostgres(database)) this.screen.command(`export STORE=postgres DATABASE_URL=${database}`)
    if (isRedis(database)) this.screen.command(`export STORE=redis DATABASE_URL=${database}`)
    if (isDynamodb(database)) this.screen.command(`export STORE=dynamodb DATABASE_URL=${database}`)
    this.screen.command('node --conditions=@talos/source examples/gateway/main.ts')
    const gateway = await GatewayProcess.start({
      label: `gateway ${this.#starts}`,
      database,
      upstream: this.#upstreamUrl,
      rootToken: this.rootToken,
      keks,
      currentKekId,
      evidence: this.evidence,
    })
    this.#gateway = gateway
    this.#operator?.close()
    this.#operator = new Operator(gateway.url, this.rootToken, this.evidence)
    this.screen.quote(gateway.output)
  }

  /** Ends the gateway in good order. */
  async stop(): Promise<void> {
    this.screen.command(`kill -TERM ${this.gateway.pid}`)
    const { code, signal, elapsedMs } = await this.#end('terminate')
    check(code === 0, `SIGTERM ended the gateway with ${code ?? signal} instead of 0`)
    check(elapsedMs < 2000, `the gateway took ${Math.round(elapsedMs)} ms to end`)
    this.screen.fact(`exit code 0 after ${Math.round(elapsedMs)} ms`)
  }

  /** Ends the gateway without giving it a chance to do anything. */
  async kill(): Promise<void> {
    this.screen.command(`kill -KILL ${this.gateway.pid}`)
    const { signal } = await this.#end('kill')
    check(signal === 'SIGKILL', 'the gateway had ended by itself')
  }

  /** Prints the curl line of a call to the admin API. */
  curl(method: string, path: string, body?: string): void {
    const json = body === undefined ? '' : ` -H 'Content-Type: application/json' -d '${body}'`
    const verb = method === 'GET' ? '' : ` -X ${method}`
    const token = path === '/healthz' ? '' : ' -H "Authorization: Bearer $ROOT_TOKEN"'
    this.screen.command(`curl${verb}${token}${json} ${this.gateway.url}${ADMIN_PATH}${path}`)
  }

  /**
   * Makes a call as an application does that outlives its gateway: when the connection breaks, the call is repeated,
   * on the next gateway if need be.
   */
  async persist<T>(call: (operator: Operator) => Promise<T>): Promise<T> {
    const deadline = performance.now() + RECONNECT_TIMEOUT_MS
    for (;;) {
      try {
        return await call(this.operator)
      } catch (error) {
        if (!(error instanceof ConnectionLost)) throw error
        if (performance.now() > deadline) throw new DemoFailure(`the gateway is away: ${error.message}`)
        await pause(50)
      }
    }
  }

  /** Calls the model through the gateway and compares the credential that arrived with the one written last. */
  async checkProxy(operator = this.operator): Promise<void> {
    const answer = await operator.chat()
    check(
      answer.status === 200,
      `the gateway answered a chat completion with ${answer.status}: ${answer.body}`,
    )
    check(
      this.upstream.credential === this.ledger.value(CREDENTIAL),
      'another credential reached the upstream',
    )
  }

  async #end(how: 'terminate' | 'kill'): Promise<Ending> {
    const { gateway } = this
    this.#gateway = null
    return await gateway[how]()
  }
}
