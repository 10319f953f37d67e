/** A socket file to listen on: who may open it is said by its mode, which is never wider than that, not for a moment. */
import { chmodSync, lstatSync, renameSync, rmSync, statSync } from "node:fs"
import { connect, type Server, type Socket } from "node:net"
import { basename, dirname, join } from "node:path"
import { codeOf, isMissing, reasonOf } from "../../config/FileReason.ts"
import { BindError } from "./Listening.ts"

/** Bytes that the system has for a path. */
export const longestPath = 107

/** Peer and client of such a connection. */
export const unixPeer = "unix"

const local = new WeakSet<Socket>()

/** The connection came through the socket file. */
export const isLocal = (socket: Socket): boolean => local.has(socket)

/** Milliseconds that an answer of whoever may be there is waited for. */
const patience = 1_000

const isAnswered = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ path })
    const end = (answered: boolean) => {
      socket.destroy()
      resolve(answered)
    }
    socket.once("connect", () => end(true))
    socket.once("error", (error) => end(!/^(?:ECONNREFUSED|ENOENT)$/.test(codeOf(error))))
    setTimeout(() => end(true), patience).unref()
  })

/** Only a socket file that nobody answers on is replaced. */
const makeRoom = async (path: string): Promise<void> => {
  try {
    if (!lstatSync(path).isSocket()) throw new BindError(`server.unix_socket.path: ${path} is there and is no socket: it is left alone`)
  } catch (cause) {
    if (cause instanceof BindError) throw cause
    if (isMissing(cause)) return
    throw new BindError(`server.unix_socket.path: ${path}: ${reasonOf(cause)}`)
  }
  if (await isAnswered(path)) throw new BindError(`server.unix_socket.path: somebody answers on ${path} already`, "EADDRINUSE")
}

/** Resolves with what takes the file away again, if it is still this server's. */
export const listenLocally = async (server: Server, path: string, mode: number): Promise<() => void> => {
  await makeRoom(path)
  server.on("connection", (socket) => local.add(socket))
  // Made under another name and moved there: the system would take a file of this name away at the end, whosever it is by then.
  const beside = join(dirname(path), `.${process.pid}.${basename(path)}`.slice(0, Math.max(12, basename(path).length)))
  const umask = process.umask(0o777 & ~mode)
  try {
    await new Promise<void>((resolve, reject) => {
      const fail = (cause: Error) => reject(new BindError(`server.unix_socket.path: ${path}: ${cause.message}`, codeOf(cause)))
      server.once("error", fail)
      server.listen({ path: beside, backlog: 1024 }, () => {
        server.off("error", fail)
        resolve()
      })
      // The file is there by now: only its making is under this mask.
      process.umask(umask)
    })
  } finally {
    process.umask(umask)
  }
  chmodSync(beside, mode)
  renameSync(beside, path)
  const { ino, dev } = statSync(path)
  return () => {
    try {
      const found = statSync(path)
      if (found.ino === ino && found.dev === dev) rmSync(path, { force: true })
    } catch {
      // It is gone.
    }
  }
}
