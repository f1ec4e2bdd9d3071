import { conformanceChecks } from '@talos/envelope-conformance'
import { test } from 'vitest'
import { service } from '../../../test/services/service.ts'
import { openForKit } from './open.ts'

const without = ['advance', 'shards'] as const
const checks = conformanceChecks(async () => openForKit(await service('mariadb')), { without })

test.for([...checks])('$name', { timeout: 60_000 }, ({ run }) => run())

test('prints what has been checked', () => {
  const clauses = new Set(checks.map(({ clause }) => clause)).size
  console.log(`MariaDB: ${checks.length} checks of ${clauses} clauses`)
})
