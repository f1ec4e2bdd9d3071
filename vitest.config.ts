import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import { SlowFirst } from './test/slow-first.ts'

// Packages are read from their sources. Adding "module" here would pick builds of dependencies that Node never runs.
const conditions = ['@talos/source', 'node']

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ['{packages,examples}/*/test/**/*.test.ts', '{bench,test}/**/*.test.ts'],
    environment: 'node',
    // Two cores and several servers: a test that takes a second alone takes more in company.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 20_000 } },
    // Most of the long tests wait for servers: two at a time, however few cores there are.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    sequence: { sequencer: SlowFirst },
    globalSetup: ['test/services/global-setup.ts'],
    coverage: {
      provider: 'v8',
      include: ['packages/*/src/**/*.ts'],
      exclude: ['packages/*/src/**/index.ts'],
      reporter: ['text', 'html', 'json-summary'],
    },
  },
})
