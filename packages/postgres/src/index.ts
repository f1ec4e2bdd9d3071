export type {
  PostgresClient,
  PostgresPool,
  PostgresPoolClient,
  PostgresQuery,
  PostgresResult,
} from './client.ts'
export type { EnvelopeColumn } from './envelope-column.ts'
export { envelopeIndexSql } from './envelope-column.ts'
export type { EnvelopeRow, EnvelopeTableOptions } from './envelope-table.ts'
export { envelopeTable } from './envelope-table.ts'
export type { Place } from './names.ts'
export type { PostgresStore, PostgresStoreOptions } from './postgres-store.ts'
export { postgresStore } from './postgres-store.ts'
export { grantSql, guardTriggerSql, migrationSql } from './schema.ts'
