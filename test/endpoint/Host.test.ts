import { describe, expect, it } from "vitest"
import { Hosts } from "../../src/endpoint/Host.ts"
import { FakeFleet, specOf } from "../balancing/fakes.ts"

const memberOf = (hosts: Hosts, url: string, maxConcurrent: number) => {
  const spec = { ...specOf("x", { url }), maxConcurrent }
  const host = hosts.of(spec)
  const member = { spec, host, lanes: [] }
  host.join(member)
  return member
}

describe("endpoints on one server", () => {
  it("are those with one scheme, host and port, whatever path and fragment they have", () => {
    const hosts = new Hosts()
    const first = memberOf(hosts, "http://box:11434/#big", 2)
    expect(memberOf(hosts, "http://BOX:11434/v1#small", 1).host).toBe(first.host)
    expect(memberOf(hosts, "https://box:11434", 1).host).not.toBe(first.host)
    expect(memberOf(hosts, "http://box:11435", 1).host).not.toBe(first.host)
    expect(hosts.size).toBe(3)
  })

  it("take together what the largest limit among them says", () => {
    const hosts = new Hosts()
    const { host } = memberOf(hosts, "http://box:1/#a", 2)
    memberOf(hosts, "http://box:1/#b", 3)
    memberOf(hosts, "http://box:1/#c", 0)
    host.inFlight = 2
    expect(host.isFull).toBe(false)
    host.inFlight = 3
    expect(host.isFull).toBe(true)
  })

  it("have no limit where none of them has one", () => {
    const hosts = new Hosts()
    const { host } = memberOf(hosts, "http://box:1/#a", 0)
    host.inFlight = 1_000
    expect(host.isFull).toBe(false)
  })

  it("are forgotten with the last of them", () => {
    const hosts = new Hosts()
    const first = memberOf(hosts, "http://box:1/#a", 0)
    const second = memberOf(hosts, "http://box:1/#b", 0)
    hosts.leave(first)
    expect([hosts.size, first.host.isShared]).toEqual([1, false])
    hosts.leave(second)
    expect(hosts.size).toBe(0)
  })
})

it("an endpoint is full at its own limit, and counts what is under way on its server", () => {
  const endpoint = new FakeFleet().add("a")
  endpoint.spec = { ...endpoint.spec, maxConcurrent: 1 }
  expect([endpoint.isFull, endpoint.host.inFlight]).toEqual([false, 0])
  endpoint.enter()
  expect([endpoint.isFull, endpoint.host.inFlight]).toEqual([true, 1])
  endpoint.leave()
  expect([endpoint.isFull, endpoint.host.inFlight]).toEqual([false, 0])
})
