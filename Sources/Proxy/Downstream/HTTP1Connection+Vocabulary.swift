// SPDX-License-Identifier: Apache-2.0

/// What the machine of a client's connection asks for, an enum an event.
extension HTTP1Connection.StateMachine {
    enum ReceivedAction: Equatable {
        case process, drop, close
    }

    enum NextAction: Equatable {
        case readHead, readBody
        case discard
        case stop(Progress)
    }

    enum InputEndedAction: Equatable {
        case none, process, close
    }

    enum InputTakenAction: Equatable {
        case none
        /// Close when all is written: there is no further request.
        case closeWhenWritten
        /// The request has all of its input.
        case tellExchange
        /// The handler has yet to take what was sent before, and is not waited for without end.
        case waitForHandler
    }

    enum FinishedAction: Equatable {
        /// The rest of the body is thrown away, for as long as it keeps coming.
        case swallow
        /// - Parameter deadline: by when; nil if no further input comes.
        case next(Deadline?)
        case close(lingering: Bool)
    }

    enum HeadExpiredAction: Equatable {
        case none, close, refuse
    }

    enum ExpiredAction: Equatable {
        case none, closeWhenWritten
        case arm(Deadline)
        /// Of a request under way, the rest is overdue.
        case tellExchange
        case close
    }

    enum DrainedAction: Equatable {
        case none, closeWhenWritten, close
    }

    enum YieldedAction: Equatable {
        /// Another is to go.
        case stay
        case arm(Deadline)
        case closeWhenWritten
    }

    enum WrittenAction: Equatable {
        case close
        /// Close our side, and listen a little longer.
        case closeOutput
    }

    enum CloseAction: Equatable {
        case none
        /// The request under way ends first; what that asks for closes.
        case leave
        case close
    }
}
