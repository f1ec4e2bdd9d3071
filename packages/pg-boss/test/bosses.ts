import { randomBytes } from 'node:crypto'
import { Client } from 'pg'
import { type ConstructorOptions, type JobWithMetadata, PgBoss } from 'pg-boss'
import { onTestFinished } from 'vitest'
import { service } from '../../../test/services/service.ts'
import { WATCHFUL } from './watchful.ts'

/** Makes a database that no other test has. */
export async function newDatabase(): Promise<string> {
  const url = await service('postgres-18')
  const name = `bosses_${randomBytes(6).toString('hex')}`
  const client = new Client(url)
  await client.connect()
  await client.query(`CREATE DATABASE ${name}`)
  await client.end()
  return url.replace(/[^/]*$/, name)
}

/** Starts a `PgBoss`, which is stopped when the test is over. */
export async function startedBoss(url: string, options: ConstructorOptions = {}): Promise<PgBoss> {
  const boss = new PgBoss({ connectionString: url, max: 4, ...WATCHFUL, ...options })
  // A test may end the server under it.
  boss.on('error', () => {})
  await boss.start()
  onTestFinished(() => boss.stop({ graceful: false }))
  return boss
}

/** Every job that the queue still knows, oldest first. */
export async function jobsOf(boss: PgBoss, queue: string): Promise<JobWithMetadata[]> {
  const jobs = await boss.findJobs<object>(queue)
  return jobs.toSorted((left, right) => left.createdOn.getTime() - right.createdOn.getTime())
}
