import { defineConfig } from 'vitest/config'

// Packages are read from their sources. Adding "module" here would pick builds of dependencies that Node never runs.
const conditions = ['@talos/source', 'node']

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ['{packages,examples}/*/test/**/*.test.ts', '{bench,test}/**/*.test.ts'],
    environment: 'node',
    // Two cores and several servers: a test that takes a second alone takes more in company.
    testTimeout: 30_000,
    globalSetup: ['test/services/global-setup.ts'],
    coverage: {
      provider: 'v8',
      include: ['packages/*/src/**/*.ts'],
      exclude: ['packages/*/src/**/index.ts'],
      reporter: ['text', 'html', 'json-summary'],
    },
  },
})
