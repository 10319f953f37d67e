/** Composes the rooms into one running daemon. */

export interface ServeOptions {
  /** `-c`/`--config`, if given. */
  readonly configFile: string | undefined
  readonly env: Readonly<Record<string, string | undefined>>
}

/** Runs until a signal or a fatal error; resolves with the exit code. */
export const serve = async (_options: ServeOptions): Promise<number> => 1
