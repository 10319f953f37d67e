/**
 * Which process listens on a port of this machine, from Linux' /proc: the table of sockets names an inode, and some process has it
 * open. Other systems, and processes of other users, do not tell.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs"

export interface PortHolder {
  readonly pid: number
  /** Its command line, shortened. */
  readonly command: string
}

/** The state of a listening socket in the kernel's table. */
const listening = "0A"
/** Characters of a command line that are told. */
const mostCommand = 120

/**
 * Inodes of the sockets that listen on `port`. `table` is the text of `/proc/net/tcp` or `tcp6`: behind its head a line a socket,
 * columns number, local address and port in hexadecimal, remote, state, queues, timer, retransmits, uid, timeout, inode.
 */
export const listeningInodes = (table: string, port: number): ReadonlyArray<string> => {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`
  return table
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .flatMap(([, local = "", , state, , , , , , inode = "0"]) => (local.endsWith(suffix) && state === listening ? [inode] : []))
}

const read = (path: string): string => {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return ""
  }
}

const list = (path: string): ReadonlyArray<string> => {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}

const link = (path: string): string => {
  try {
    return readlinkSync(path)
  } catch {
    return ""
  }
}

/** `undefined`: the system does not tell. */
export const portHolder = (port: number): PortHolder | undefined => {
  const inodes = new Set(["/proc/net/tcp", "/proc/net/tcp6"].flatMap((path) => listeningInodes(read(path), port)))
  if (inodes.size === 0) return undefined
  const sockets = new Set([...inodes].map((inode) => `socket:[${inode}]`))
  const pid = list("/proc")
    .filter((name) => /^\d+$/.test(name))
    .find((name) => list(`/proc/${name}/fd`).some((fd) => sockets.has(link(`/proc/${name}/fd/${fd}`))))
  if (pid === undefined) return undefined
  const command = read(`/proc/${pid}/cmdline`).split("\0").join(" ").trim() || read(`/proc/${pid}/comm`).trim()
  return { pid: Number(pid), command: command.length <= mostCommand ? command : `${command.slice(0, mostCommand)}…` }
}
