// SPDX-License-Identifier: Apache-2.0

@testable import Proxy

extension ExchangeTests {
    /// What any event may ask for, as one: what the model checks is the same, whichever event it comes from.
    enum Step: Equatable {
        case none, gather, sendRequest, returnUnused, openTunnel, cut, depart
        /// Of a tunnel that its handler has left, and of one that its client has.
        case endTunnel, leaveTunnel
        case acquire(Exchange.Freshness)
        case follow(upstream: Exchange.UpstreamEnd, Exchange.Freshness)
        case answer(Exchange.Fault, closing: Bool)
        case forwardHead(closing: Bool)
        case finish(upstream: Exchange.UpstreamEnd, downstream: Exchange.DownstreamEnd)

        init(_ end: Exchange.DownstreamEnd) {
            self = .finish(upstream: .none, downstream: end)
        }

        init(_ action: Exchange.AdmittedAction) {
            self =
                switch action {
                case .gather: .gather
                case .acquire(let freshness): .acquire(freshness)
                }
        }

        init(_ action: Exchange.GatheredAction) {
            self =
                switch action {
                case .none: .none
                case .acquire(let freshness): .acquire(freshness)
                }
        }

        init(_ action: Exchange.AttachedAction) {
            self =
                switch action {
                case .sendRequest: .sendRequest
                case .returnUnused: .returnUnused
                }
        }

        init(_ action: Exchange.UnavailableAction) {
            self =
                switch action {
                case .none: .none
                case .answer(let fault, let closing): .answer(fault, closing: closing)
                }
        }

        init(_ action: Exchange.RedirectedAction) {
            self =
                switch action {
                case .none: .none
                case .follow(let upstream, let freshness): .follow(upstream: upstream, freshness)
                }
        }

        init(_ action: Exchange.BeganAction) {
            self =
                switch action {
                case .none: .none
                case .forwardHead(let closing): .forwardHead(closing: closing)
                }
        }

        init(_ action: Exchange.SwitchedAction) {
            self =
                switch action {
                case .none: .none
                case .openTunnel: .openTunnel
                case .answer(let fault, let closing): .answer(fault, closing: closing)
                }
        }

        init(_ action: Exchange.EndedAction) {
            self =
                switch action {
                case .none: .none
                case .finish(let upstream, let downstream): .finish(upstream: upstream, downstream: downstream)
                }
        }

        init(_ action: Exchange.ClosedAction) {
            self =
                switch action {
                case .none: .none
                case .acquire(let freshness): .acquire(freshness)
                case .answer(let fault, let closing): .answer(fault, closing: closing)
                case .cut: .cut
                case .endTunnel: .endTunnel
                }
        }

        init(_ action: Exchange.FailedAction) {
            self =
                switch action {
                case .none: .none
                case .answer(let fault, let closing): .answer(fault, closing: closing)
                case .cut: .cut
                }
        }

        init(_ action: Exchange.RequestEndedAction) {
            self =
                switch action {
                case .none: .none
                case .acquire(let freshness): .acquire(freshness)
                case .finish(let downstream): .finish(upstream: .none, downstream: downstream)
                }
        }

        init(_ action: Exchange.RequestBrokeAction) {
            self =
                switch action {
                case .none: .none
                case .answer(let fault, let closing): .answer(fault, closing: closing)
                case .cut: .cut
                case .depart: .depart
                }
        }

        init(_ action: Exchange.InputClosedAction) {
            self =
                switch action {
                case .none: .none
                case .finish(let upstream, let downstream): .finish(upstream: upstream, downstream: downstream)
                case .depart: .depart
                }
        }

        init(_ action: Exchange.LeftAction) {
            self =
                switch action {
                case .none: .none
                case .depart: .depart
                case .endTunnel: .leaveTunnel
                }
        }
    }
}
