// SPDX-License-Identifier: Apache-2.0

import Endpoints
import NIOCore
import Testing

@testable import Redis

/// Sentinels that fail over, lose each other, freeze and lie, in random order.
@Suite struct TopologyScheduleTests {
    private struct Generator: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ (state >> 29)
        }
    }

    @Test func keepsItsPromisesInAnySchedule() {
        var random = Generator(state: 20_261_129)
        for _ in 0..<2_000 { run(&random) }
    }

    private func run(_ random: inout Generator) {
        var driver = TopologyDriver()
        // What each sentinel knows: the newest configuration reaches them one by one.
        var (truth, known) = (Primary(at: TopologyDriver.a, epoch: 1), [1, 1, 1])
        var history = [1: TopologyDriver.a]
        let liar = Bool.random(using: &random) ? Int.random(in: 0...2, using: &random) : nil
        // With a liar one other is silent now and then; both would leave the liar to lead.
        let mayFail = liar.map { [($0 + 1) % 3] } ?? [0, 1, 2]
        var actions = driver.start()
        var highest = 0
        for _ in 0..<50 {
            #expect(driver.topology.agreed >= highest, "what was agreed on falls")
            highest = driver.topology.agreed
            var due: [(Int, NIODeadline)] = []
            while !actions.isEmpty {
                switch actions.removeFirst() {
                case .ask(let address):
                    if let index = TopologyDriver.hosts.firstIndex(of: address) { due.append((index, driver.now)) }
                case .meet(let primary):
                    let isOne = primary.address == truth.address
                    actions += driver.meet(primary.address, primary.epoch, failure: isOne ? nil : .unfit(.replica))
                case .publish(let primary):
                    #expect(primary.epoch >= highest, "never back")
                    // Of three that are known a single one leads nobody while another answers.
                    if liar != nil { #expect(history[primary.epoch] == primary.address, "a lie was believed") }
                case .giveUp, .forget, .despair, .say: break
                }
            }
            switch Int.random(in: 0..<6, using: &random) {
            case 0:
                let other = truth.address == TopologyDriver.a ? TopologyDriver.b : TopologyDriver.a
                truth = Primary(at: other, epoch: truth.epoch + 1)
                history[truth.epoch] = other
            case 1, 2: known[Int.random(in: 0...2, using: &random)] = truth.epoch
            case 3: actions += driver.topology.doubt(at: driver.now)
            default: break
            }
            for (index, _) in due.shuffled(using: &random) {
                if index == liar {
                    let lie = ServerAddress(host: "lie\(Int.random(in: 0...1, using: &random))", port: 1)
                    actions += driver.hear(index, lie, Int.random(in: 0...1_000_000, using: &random))
                } else if mayFail.contains(index), Int.random(in: 0..<4, using: &random) == 0 {
                    actions += driver.fail(index)
                } else if let address = history[known[index]] {
                    actions += driver.hear(index, address, known[index])
                }
            }
            actions += driver.wait(.milliseconds(Int64.random(in: 1...700, using: &random)))
        }
        // All agree at last.
        for _ in 0..<4 {
            var last = driver.wait(.seconds(1))
            for index in 0...2 { last += driver.hear(index, truth.address, truth.epoch) }
            for primary in last.met { last += driver.meet(primary, truth.epoch) }
        }
        _ = driver.wait(.milliseconds(200))
        #expect(driver.topology.current == truth)
    }
}
