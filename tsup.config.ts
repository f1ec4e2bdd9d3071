import { existsSync } from 'node:fs'
import { defineConfig } from 'tsup'

// One configuration for every package: tsup is started inside the package's folder.
export default defineConfig({
  entry: ['src/index.ts', 'src/testing.ts'].filter((file) => existsSync(file)),
  format: 'esm',
  target: 'node22',
  platform: 'node',
  dts: true,
  clean: true,
  // The default removes the `node:` prefix, without which `node:sqlite` does not exist.
  removeNodeProtocol: false,
})
