/** Why a file could not be read, in words that an operator knows from everywhere else. */

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "no such file or directory",
  ENOTDIR: "no such file or directory",
  EACCES: "permission denied",
  EPERM: "operation not permitted",
  EISDIR: "is a directory",
  ELOOP: "too many levels of symbolic links",
  ENAMETOOLONG: "file name too long"
}

/** The system's code, or the whole text of what is no error of the system. */
export const codeOf = (cause: unknown): string => (cause instanceof Error && "code" in cause ? String(cause.code) : String(cause))

/** Nothing is there, in one way or another. */
export const isMissing = (cause: unknown): boolean => /^ENO(?:ENT|TDIR)$/.test(codeOf(cause))

export const reasonOf = (cause: unknown): string => reasons[codeOf(cause)] ?? codeOf(cause)
