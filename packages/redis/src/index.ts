export type { RedisArgument, RedisClient } from './client.ts'
export type { RedisStore, RedisStoreOptions } from './redis-store.ts'
export { redisStore } from './redis-store.ts'
