import { inject } from 'vitest'

/** What tests can have, started at the first request of a run and stopped at its end. */
export type ServiceName =
  | 'postgres-15'
  | 'postgres-18'
  | 'pgbouncer'
  | 'redis'
  | 'redis-cluster'
  | 'mariadb'
  | 'dynamodb'

/**
 * Asks for a service.
 *
 * @returns Its address.
 * @throws Error that says which program is missing and what installs it.
 */
export async function service(name: ServiceName): Promise<string> {
  const answer = await fetch(`${inject('services')}/${name}`)
  const text = await answer.text()
  if (!answer.ok) throw new Error(text)
  return text
}
