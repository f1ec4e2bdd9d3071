import { environmentKeys, isEnvelopeError, type KeyError, type KeySource } from '@talos/envelope'
import { type AdminAuth, type BearerPrincipal, bearerAuth } from '@talos/envelope-express'
import { isDynamodb, isPostgres, isRedis } from './open-store.ts'

export interface Settings {
  /** A `postgres://`, `redis://` or `dynamodb://` address, or the path of a SQLite file. */
  readonly database: string
  readonly port: number
  readonly upstream: URL
  /** The name of the secret that the upstream is called with. */
  readonly credential: string
  readonly auth: AdminAuth<BearerPrincipal>
  readonly keys: KeySource
}

/** Every fault of the configuration, so that nobody meets the second one only after mending the first. */
export class SettingsError extends Error {
  readonly faults: readonly string[]

  constructor(faults: readonly string[]) {
    super(`The configuration has faults: ${faults.join('; ')}`)
    this.faults = faults
  }
}

/**
 * Reads the environment.
 *
 * @throws SettingsError with all faults, those of the KEKs among them. None quotes a value.
 */
export async function readSettings(env: NodeJS.ProcessEnv = process.env): Promise<Settings> {
  const faults: string[] = []
  const collect = <T>(variable: string, read: () => T): T | undefined => {
    try {
      return read()
    } catch (error) {
      faults.push(`${variable}: ${error instanceof Error ? error.message : 'invalid'}`)
      return undefined
    }
  }
  const database = collect('STORE', () => readDatabase(env))
  const port = collect('PORT', () => readPort(env['PORT'] ?? '8080'))
  const upstream = collect('UPSTREAM_URL', () => readUrl(env['UPSTREAM_URL']))
  const auth = collect('ROOT_TOKEN', () => bearerAuth({ token: env['ROOT_TOKEN'] }))
  const keys = environmentKeys({ environment: env })
  try {
    await keys.load()
  } catch (error) {
    if (!isEnvelopeError(error) || error.code !== 'ERR_KEY_CONFIGURATION') throw error
    for (const { variable, fault } of (error as KeyError).faults) faults.push(`${variable} ${fault}`)
  }
  if (
    database === undefined ||
    port === undefined ||
    upstream === undefined ||
    auth === undefined ||
    faults.length > 0
  ) {
    throw new SettingsError(faults)
  }
  const credential = env['GATEWAY_CREDENTIAL'] || 'openai/prod'
  return { database, port, upstream, credential, auth, keys }
}

function readDatabase(env: NodeJS.ProcessEnv): string {
  const store = env['STORE'] || 'sqlite'
  if (store === 'sqlite') return env['DATABASE'] || './gateway.sqlite'
  const fits = { postgres: isPostgres, redis: isRedis, dynamodb: isDynamodb }[store]
  if (fits === undefined) throw new Error('must be sqlite, postgres, redis or dynamodb')
  const url = env['DATABASE_URL']
  if (!url || !fits(url)) throw new Error(`is ${store}, and DATABASE_URL does not begin with ${store}://`)
  return url
}

function readPort(text: string): number {
  const port = Number(text)
  if (!/^\d+$/.test(text) || port > 65_535) throw new Error('must be a number from 0 to 65535')
  return port
}

function readUrl(text: string | undefined): URL {
  if (!text) throw new Error('is missing: the address of the API behind this gateway')
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol)) throw new Error('must begin with https:// or http://')
  if (url.username !== '' || url.password !== '')
    throw new Error('must not hold a password: it belongs into the vault')
  return url
}
