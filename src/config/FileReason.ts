/** Why a file could not be read, in the usual words for each system error. */

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "no such file or directory",
  ENOTDIR: "no such file or directory",
  EACCES: "permission denied",
  EPERM: "operation not permitted",
  EISDIR: "is a directory",
  ELOOP: "too many levels of symbolic links",
  ENAMETOOLONG: "file name too long"
}

/** The code of a system error (`ENOENT`), or the text of any other error. */
export const codeOf = (cause: unknown): string => (cause instanceof Error && "code" in cause ? String(cause.code) : String(cause))

/** The path does not exist, or a part of it is no folder. */
export const isMissing = (cause: unknown): boolean => /^ENO(?:ENT|TDIR)$/.test(codeOf(cause))

export const reasonOf = (cause: unknown): string => reasons[codeOf(cause)] ?? codeOf(cause)
