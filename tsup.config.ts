import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { defineConfig } from 'tsup'
import { ModuleKind, ScriptTarget, transpileModule } from 'typescript'

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
  esbuildPlugins: [
    {
      // The bundler keeps the comments of class bodies and drops all others; readers of the code have the declarations' ones.
      name: 'comments',
      setup({ onLoad }) {
        onLoad({ filter: /\/src\/.*\.ts$/ }, async ({ path }) => {
          const compilerOptions = {
            target: ScriptTarget.ES2022,
            module: ModuleKind.ESNext,
            removeComments: true,
            verbatimModuleSyntax: true,
          }
          const { outputText } = transpileModule(await readFile(path, 'utf8'), {
            compilerOptions,
            fileName: path,
          })
          return { contents: outputText, loader: 'js' }
        })
      },
    },
  ],
})
