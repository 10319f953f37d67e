/** Where the inspector may write: never into a folder of the system. */
import { realpathSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, resolve, sep } from "node:path"

const guarded = [
  "/etc",
  "/var",
  "/usr",
  "/bin",
  "/sbin",
  "/boot",
  "/sys",
  "/proc",
  "/dev",
  "/root",
  "c:/windows",
  "c:/program files",
  "c:/program files (x86)"
]

const isWithin = (path: string, folder: string): boolean => path === folder || path.startsWith(folder.endsWith("/") ? folder : `${folder}/`)

/** Judged by the path's text, without looking at the disk. */
export const isDangerousFolder = (path: string): boolean => {
  const low = path.toLowerCase().replace(/\\/g, "/").replace(/\/+$/, "")
  if (low === "" || low === "c:") return true
  // macOS keeps its temporary folders below /var.
  if (/^\/(?:private\/)?var\/(?:folders|tmp)\//.test(low)) return false
  return guarded.some((folder) => isWithin(low, folder))
}

/** Links followed as far as the path exists; the rest may still be made. */
const realOf = (path: string): string => {
  try {
    return realpathSync(path)
  } catch {
    const parent = dirname(path)
    return parent === path ? path : join(realOf(parent), path.slice(parent.endsWith(sep) ? parent.length : parent.length + 1))
  }
}

/** What is wrong with `output_dir`; what stays below the working directory is the operator's own. */
export const checkInspectorFolder = (path: string, cwd: string): string | undefined => {
  const isAbsolute = resolve(path) === path || /^(?:[\\/]|[a-z]:[\\/])/i.test(path)
  if (isAbsolute && isDangerousFolder(path)) return `output_dir cannot be set to dangerous system path: ${path}`
  const real = realOf(resolve(cwd, path))
  if (isWithin(real, realOf(resolve(cwd))) && real !== "/") return undefined
  if (isWithin(real, realOf(tmpdir()))) return undefined
  return isDangerousFolder(real) ? `output_dir resolves to dangerous system path: ${path}` : undefined
}
