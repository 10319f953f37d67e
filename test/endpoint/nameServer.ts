/** A small name server on loopback, for the real resolver: A, AAAA and SRV records, and the ways in which a name server fails. */
import { createSocket } from "node:dgram"
import { isIP } from "node:net"

export type DnsRecord =
  | { readonly type: "A" | "AAAA"; readonly address: string; readonly ttl?: number }
  | { readonly type: "SRV"; readonly target: string; readonly port: number }

/** `silent`: no answer at all. */
export type Zone = ReadonlyArray<DnsRecord> | "nxdomain" | "servfail" | "silent"

export interface NameServer {
  /** `address:port`. */
  readonly address: string
  readonly set: (name: string, zone: Zone) => void
  /** Names that were asked for, in order, A questions alone. */
  readonly asked: () => ReadonlyArray<string>
  readonly close: () => void
}

const types: Readonly<Record<DnsRecord["type"], number>> = { A: 1, AAAA: 28, SRV: 33 }
const codes = { nxdomain: 3, servfail: 2 }

const nameBytes = (name: string): Buffer =>
  Buffer.concat([...name.split(".").map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)])), Buffer.from([0])])

const v6Bytes = (address: string): Buffer => {
  const [left = "", right] = address.split("::")
  const groups = (text: string) => (text === "" ? [] : text.split(":"))
  const [head, tail] = [groups(left), groups(right ?? "")]
  const zeros = right === undefined ? [] : Array<string>(8 - head.length - tail.length).fill("0")
  return Buffer.concat([...head, ...zeros, ...tail].map((group) => Buffer.from(group.padStart(4, "0"), "hex")))
}

const dataOf = (record: DnsRecord): Buffer => {
  if (record.type === "SRV") {
    const head = Buffer.alloc(6)
    head.writeUInt16BE(10, 0)
    head.writeUInt16BE(10, 2)
    head.writeUInt16BE(record.port, 4)
    return Buffer.concat([head, nameBytes(record.target)])
  }
  return isIP(record.address) === 4 ? Buffer.from(record.address.split(".").map(Number)) : v6Bytes(record.address)
}

const answerOf = (record: DnsRecord): Buffer => {
  const data = dataOf(record)
  const head = Buffer.alloc(12)
  // The name of the question.
  head.writeUInt16BE(0xc00c, 0)
  head.writeUInt16BE(types[record.type], 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt32BE(record.type === "SRV" ? 1 : (record.ttl ?? 60), 6)
  head.writeUInt16BE(data.length, 10)
  return Buffer.concat([head, data])
}

export const startNameServer = async (): Promise<NameServer> => {
  const zones = new Map<string, Zone>()
  const asked: Array<string> = []
  const socket = createSocket("udp4")
  socket.on("message", (query, peer) => {
    let at = 12
    const labels: Array<string> = []
    for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
      labels.push(query.toString("latin1", at + 1, at + 1 + length))
      at += length + 1
    }
    const name = labels.join(".").toLowerCase()
    const type = query.readUInt16BE(at + 1)
    if (type === types.A) asked.push(name)
    const zone = zones.get(name) ?? "nxdomain"
    if (zone === "silent") return
    const records = typeof zone === "string" ? [] : zone.filter((record) => types[record.type] === type)
    const head = Buffer.alloc(12)
    query.copy(head, 0, 0, 2)
    head.writeUInt16BE(0x8580 | (typeof zone === "string" ? codes[zone] : 0), 2)
    head.writeUInt16BE(1, 4)
    head.writeUInt16BE(records.length, 6)
    socket.send(Buffer.concat([head, query.subarray(12, at + 5), ...records.map(answerOf)]), peer.port, peer.address)
  })
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve))
  return {
    address: `127.0.0.1:${socket.address().port}`,
    set: (name, zone) => void zones.set(name, zone),
    asked: () => asked,
    close: () => socket.close()
  }
}
