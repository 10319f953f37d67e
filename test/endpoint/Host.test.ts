import { describe, expect, it } from "vitest"
import { type HostLane, Hosts } from "../../src/endpoint/Host.ts"
import { LaneWork } from "../../src/endpoint/lane/LaneWork.ts"
import type { ResidencyWord } from "../../src/endpoint/lane/Residency.ts"
import { FakeFleet, specOf } from "../balancing/fakes.ts"

const memberOf = (hosts: Hosts, url: string, maxConcurrent: number, maxResident = 0, lanes: ReadonlyArray<HostLane> = []) => {
  const spec = { ...specOf("x", { url }), maxConcurrent, maxResident }
  const host = hosts.of(spec)
  const member = { spec, host, lanes }
  host.join(member)
  return member
}

const laneOf = (model: string, isLoaded: boolean, lastUsed = 0): HostLane & { readonly work: { readonly residency: ResidencyWord } } => {
  const work = new LaneWork({ now: () => 0, size: () => undefined, loaded: () => {} })
  work.reported(isLoaded, 0)
  return { model, lastUsed, work }
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

  it("know who goes for a load before the server says so: the model used longest ago, at each of them", () => {
    const hosts = new Hosts()
    const lanes = [laneOf("young", true, 30), laneOf("old", true, 10), laneOf("next", false, 20)]
    const { host } = memberOf(hosts, "http://box:1/#a", 0, 2, lanes)
    const other = laneOf("old", true, 15)
    memberOf(hosts, "http://box:1/#b", 0, 0, [other])
    const words = () => [...lanes, other].map(({ work }) => work.residency)
    host.begins(lanes[0] as HostLane, 40)
    expect(words()).toEqual(["resident", "resident", "cold", "resident"])
    host.begins(lanes[2] as HostLane, 40)
    expect(words()).toEqual(["resident", "cold", "cold", "cold"])
    // Now there is room.
    host.begins(lanes[2] as HostLane, 50)
    expect(words()).toEqual(["resident", "cold", "cold", "cold"])
  })

  it("have one memory, which holds as many models as any of them says", () => {
    const here = laneOf("here", true)
    const cold = laneOf("cold", false)
    const hosts = new Hosts()
    const { host } = memberOf(hosts, "http://box:1/#a", 0, 0, [here])
    expect(host.holdsAll).toBe(true)
    memberOf(hosts, "http://box:1/#b", 0, 1, [cold])
    host.inFlight = 1
    expect([host.holdsAll, host.admits(here, 0), host.admits(cold, 0)]).toEqual([false, true, false])
    host.inFlight = 0
    expect([host.pushesOut(cold), host.admits(cold, 0)]).toEqual([true, true])
    memberOf(hosts, "http://box:1/#c", 0, 2)
    host.inFlight = 1
    expect([host.pushesOut(cold), host.admits(cold, 0)]).toEqual([false, true])
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
