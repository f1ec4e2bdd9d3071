/** Where `@talos/envelope-express` looks for the console. */
export declare const consoleFolder: string
/** The most bytes that a first visit may transfer, compressed. */
export declare const MOST_GZIPPED_BYTES: number
/** Builds the console, unless the same is there. */
export declare function buildConsole(): Promise<{
  readonly assets: readonly string[]
  readonly bytes: number
  readonly gzippedBytes: number
}>
