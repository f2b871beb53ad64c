"""Binance's numbers of errors, as far as they mean something to a session: one table for the client
of the real venue and for the exchange that is simulated, so that both mean the same.
"""

from __future__ import annotations

from tercel.domain.events import Fault

_BY_FAULT: dict[Fault, tuple[int, ...]] = {
    Fault.WOULD_TRIGGER: (-2021,),
    Fault.WOULD_CROSS: (-5022,),
    Fault.NOT_FOUND: (-2011, -2013),
    Fault.REDUCE_ONLY: (-2022, -2024, -4118),
    Fault.MARGIN: (-2018, -2019, -2027, -2028, -4050, -4051),
    Fault.DUPLICATE: (-4116,),
    Fault.FILTER: (
        *(-1013, -1111, -4001, -4002, -4003, -4004, -4005, -4006, -4007, -4013, -4014, -4016),
        *(-4023, -4024, -4029, -4030, -4131, -4164, -5021),
    ),
    Fault.BUSY: (-1001, -1003, -1008, -1015, -1016),
    Fault.CLOCK: (-1021,),
    Fault.DENIED: (
        *(-1002, -1022, -2014, -2015, -2017, -2023, -4087, -4088, -4109, -4192, -4400, -4401),
    ),
    Fault.TRIGGERING: (-4117,),
}
FAULTS: dict[int, Fault] = {code: fault for fault, codes in _BY_FAULT.items() for code in codes}
"""Number -> what it means to us; what is not here is OTHER."""
