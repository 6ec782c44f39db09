"""Systems in one sector, for tests that need a guest which does one thing to its disk at once."""

import struct

ORIGIN, COUNTER, FIRST_SECTOR, SLOTS = 0x7C00, 0x8000, 2048, 64
LETTERS = b"ABCDEFGHIJKLMNOP"


def filling_sector() -> bytes:
    """Writes its disk over and over, 32 KiB at a time, by way of the firmware."""
    start = b"\xfc\x31\xc0\x8e\xd8"  # cld; xor ax,ax; mov ds,ax
    # again: mov ax,0x4300; mov dl,0x80; mov si,packet; int 0x13; add word [packet+8],64; jmp again
    packet_at = ORIGIN + len(start) + 17
    body = b"\xb8\x00\x43\xb2\x80\xbe" + struct.pack("<H", packet_at) + b"\xcd\x13"
    body += b"\x83\x06" + struct.pack("<H", packet_at + 8) + b"\x40\xeb\xef"
    return _bootable(start + body, sectors=64, buffer=0x8000)


def counting_sector() -> bytes:
    """Writes 1, 2, 3 … into 64 sectors in turn, and tells each number, four letters A to P, on its serial port when the
    disk has acknowledged it."""
    counter, packet_at = struct.pack("<H", COUNTER), ORIGIN + 82
    code = b"\xfc\x31\xc0\x8e\xd8\xa3" + counter  # cld; xor ax,ax; mov ds,ax; mov [counter],ax
    code += b"\xff\x06" + counter + b"\xa1" + counter  # again: inc word [counter]; mov ax,[counter]
    code += b"\x83\xe0\x3f\x05" + struct.pack("<H", FIRST_SECTOR)  # and ax,63; add ax,2048
    code += b"\xa3" + struct.pack("<H", packet_at + 8)  # mov [packet+8],ax
    code += b"\xb8\x00\x43\xb2\x80\xbe" + struct.pack("<H", packet_at)  # mov ax,0x4300; mov dl,0x80; mov si,packet
    code += b"\xcd\x13\x72\x1c\xb9\x04\x00\x8b\x1e" + counter  # int 0x13; jc stop; mov cx,4; mov bx,[counter]
    # digit: rol bx,4; mov al,bl; and al,15; add al,'A'; call out; loop digit
    code += b"\xc1\xc3\x04\x88\xd8\x24\x0f\x04\x41\xe8\x0c\x00\xe2\xf2"
    code += b"\xb0\x0a\xe8\x05\x00\xeb\xc8\xf4\xeb\xfd"  # mov al,10; call out; jmp again; stop: hlt; jmp stop
    # out: push ax; full: mov dx,0x3fd; in al,dx; test al,0x20; jz full; pop ax; mov dx,0x3f8; out dx,al; ret
    code += b"\x50\xba\xfd\x03\xec\xa8\x20\x74\xf8\x58\xba\xf8\x03\xee\xc3"
    return _bootable(code, sectors=1, buffer=COUNTER)


def told(log: bytes) -> int:
    """The last number that a counting guest has told."""
    lines = [line.strip()[-4:] for line in log.split(b"\n")[:-1]]
    numbers = [line for line in lines if len(line) == 4 and not line.strip(LETTERS)]
    return int(numbers[-1].translate(bytes.maketrans(LETTERS, b"0123456789abcdef")), 16) if numbers else 0


def _bootable(code: bytes, *, sectors: int, buffer: int) -> bytes:
    packet = struct.pack("<BBHHHQ", 16, 0, sectors, buffer, 0, FIRST_SECTOR)
    return (code + packet).ljust(510, b"\0") + b"\x55\xaa"
