import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { explicitKeys, openVault, type SecretVault } from '@talos/envelope'
import { type AdminRole, type AdminRouter, adminRouter, bearerAuth } from '@talos/envelope-express'
import { openSqliteDatabase, type SqliteStore, sqliteStore } from '@talos/envelope-sqlite'
import { buildConsole } from '../../packages/console/build.mjs'
import { close, listen, MOUNT } from '../../packages/express/test/support/hosts.ts'

/** The database as tests write to it behind the vault's back. */
type Database = ReturnType<typeof openSqliteDatabase>

/** What an instance is opened with. */
export interface InstanceOptions {
  /** The KEKs it holds; the first one is current in its configuration. */
  readonly keks: readonly string[]
  /** How operators know the process. */
  readonly process?: string
  /** Other bytes for some of them. */
  readonly bytes?: Readonly<Record<string, Uint8Array>>
}

/** An answer in the host's own name. */
export interface HostAnswer {
  readonly status: number
  readonly text: string
}

/** A service with the admin API and its console: a real router over a real vault on a real SQLite file. */
export interface ConsoleHost extends AsyncDisposable {
  readonly origin: string
  /** The address of the console. */
  readonly url: string
  /** The vault behind the API. */
  vault(): SecretVault
  /** Ends the instance behind the API and starts another one at the same address. */
  restart(options: InstanceOptions): Promise<void>
  /** Starts one more instance of the same keyring domain, which serves nothing. */
  join(options: InstanceOptions): Promise<SecretVault>
  /** Answers requests in the host's own name while it is set; `undefined` passes a request on. */
  before: ((request: IncomingMessage) => HostAnswer | undefined) | undefined
  readonly database: Database
}

/** The tokens of the host. */
export const TOKENS = {
  root: 'Zq7vK3n0uY1dB9wXm5Gs2LTcRjHfPa8e-root',
  reader: 'Zq7vK3n0uY1dB9wXm5Gs2LTcRjHfPa8e-reader',
} as const

const ROLES: Readonly<Record<keyof typeof TOKENS, readonly AdminRole[]>> = {
  root: ['read', 'write', 'rotate', 'admin', 'retire'],
  reader: ['read'],
}

/** Express as far as a host needs it: it is a dependency of the package under test, not of this folder. */
interface ExpressApp {
  (request: IncomingMessage, response: ServerResponse): void
  use(handler: Handler): void
  use(path: string, handler: Handler): void
}
type Handler = (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void
const requireOfExpress = createRequire(new URL('../../packages/express/package.json', import.meta.url))
const express = requireOfExpress('express') as () => ExpressApp

const NAMESPACE = 'gateway'
/** Heartbeats come three times as often: a page need not wait long for others to follow. */
const LEASE_MS = 3_000

/** The same bytes for the same id, in every instance. */
export function kekOf(id: string): Uint8Array {
  return new Uint8Array(createHash('sha256').update(`console ${id}`).digest())
}

/** Opens a host with an empty database. */
export async function openHost(options: InstanceOptions): Promise<ConsoleHost> {
  await buildConsole()
  const folder = mkdtempSync(join(tmpdir(), 'console-host-'))
  const path = join(folder, 'secrets.db')
  const closing: (() => Promise<void> | void)[] = [() => rmSync(folder, { recursive: true, force: true })]
  const connect = (): Database => {
    const database = openSqliteDatabase(path)
    closing.push(() => database.close())
    return database
  }
  const database = connect()
  await sqliteStore({ database }).migrate()

  let vault = await openInstance(sqliteStore({ database: connect() }), options)
  let router = routerOf(vault)
  const app = express()
  app.use((request, response, next) => {
    const answer = host.before?.(request)
    if (answer === undefined) next()
    else response.writeHead(answer.status, { 'Content-Type': 'text/html' }).end(answer.text)
  })
  app.use(MOUNT, (request, response, next) => router(request, response, next))
  const { server, origin } = await listen(app)

  const host: ConsoleHost = {
    origin,
    url: `${origin}${MOUNT}/console`,
    vault: () => vault,
    database,
    before: undefined,
    async restart(next) {
      router.close()
      await vault.close()
      vault = await openInstance(sqliteStore({ database: connect() }), next)
      router = routerOf(vault)
    },
    async join(next) {
      const other = await openInstance(sqliteStore({ database: connect() }), next)
      closing.push(() => other.close())
      return other
    },
    async [Symbol.asyncDispose]() {
      router.close()
      await close(server)
      await vault.close()
      for (const close of closing.reverse()) await close()
    },
  }
  return host
}

function openInstance(store: SqliteStore, options: InstanceOptions): Promise<SecretVault> {
  const { keks, bytes = {}, process } = options
  return openVault({
    store,
    namespace: NAMESPACE,
    leaseMs: LEASE_MS,
    keys: explicitKeys({
      currentKekId: keks[0] ?? '',
      keks: Object.fromEntries(keks.map((id) => [id, bytes[id] ?? kekOf(id)])),
    }),
    runtime: { processName: process ?? 'web-1/4711' },
  })
}

function routerOf(vault: SecretVault): AdminRouter {
  const tokens = Object.entries(TOKENS).map(([name, token]) => ({
    name: name === 'root' ? 'alice' : name,
    token,
    roles: ROLES[name as keyof typeof TOKENS],
  }))
  return adminRouter({ vault, auth: bearerAuth({ tokens }) })
}

/** Stores many secrets, a few hundred at once: the store writes them in one transaction. */
export async function putMany(vault: SecretVault, names: readonly string[]): Promise<void> {
  for (let from = 0; from < names.length; from += 500) {
    await Promise.all(names.slice(from, from + 500).map((name) => vault.put(name, `value of ${name}`)))
  }
}

/** Names as services have them. */
export function manyNames(count: number): readonly string[] {
  const providers = ['openai', 'anthropic', 'stripe', 'github', 'mailgun', 'twilio', 'aws', 'datadog']
  const stages = ['prod', 'staging', 'dev']
  return Array.from({ length: count }, (_, index) => {
    const number = String(Math.floor(index / (providers.length * stages.length))).padStart(4, '0')
    return `${providers[index % providers.length]}/${stages[Math.floor(index / providers.length) % stages.length]}/team-${number}`
  })
}

/** Alters the end of wrap texts behind the vault's back, so that no KEK opens them: they end up in quarantine. */
export function damageWraps({ database }: ConsoleHost, names = '%'): void {
  database
    .prepare("UPDATE talos_secrets SET wrap = substr(wrap, 1, length(wrap) - 4) || 'AAAA' WHERE name LIKE ?")
    .run(names)
}
