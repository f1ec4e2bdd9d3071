import { test } from 'node:test'
import { MemoryStore } from '@talos/envelope'
import { conformanceChecks, type HookName } from '@talos/envelope-conformance'

const open = async () => ({ store: new MemoryStore(), close: async () => {} })
const without: HookName[] = [
  'hold',
  'holdWrite',
  'proxied',
  'outage',
  'destroySealed',
  'restore',
  'clientState',
]
for (const { name, run } of conformanceChecks(open, { without })) void test(name, run)
