# The guest of the tests with QEMU: a boot sector that uses its devices all the time, and never waits.
#
# A device is any function on bus 0 of class 0xff0000 (unassigned), two at most. Of each, the first BAR holds the registers of
# the model (crates/model, `Register`), eight bytes each, and the third BAR, if it has one, memory of its own.
#
# One round with a device: ring the doorbell with a number, and see that number in our memory, where the device writes it;
# find in the device what we left there a round ago, in a register and in its memory. What is not so counts as an error.
#
# The number of the round is in ebp, and nowhere else: as long as nothing is wrong only devices write to memory. Emulators lose
# a write of the processor's to a page now and then, when the page is sent between the mark that it is dirty and the write.
# Everything else that the guest knows lies at `known` (testbed/vmm/guest.mjs reads it there):
#
#   0 the number of devices   4 errors   8 which kinds of errors there were (bits, below)
#
# and is told to the port 0xe9: a digit, how many devices there are, and an E for every error.
#
# Assembled with INTERRUPTS, the devices interrupt after each ring of the doorbell, by the first of their MSI-X vectors; how often
# that was is in dr0. It is let happen at one place only, so that what the processor then leaves on the stack is the same each
# time: memory does not change by it either. Nobody waits for an interrupt: where a machine stops, one may get lost.
#
# Assembled with HIGH, devices write above 4 GiB, which the guest sees at `window` through pages of 4 MiB with 36 bits.

        .set known, 0x600
        .set devices, known
        .set errors, known + 4
        .set kinds, known + 8

# What is known of each device, from here on: `each` bytes a device.
        .set first, known + 0x20
        .set each, 0x20
        .set registers, 0
        .set memory, 4
        .set buffer, 8

# Where devices may write to, and how much that is.
        .set buffers, 0x200000
        .set buffer_size, 0x40000
        .set between_buffers, 0x100000
        .set window, 0x80000000
        .set directory, 0x1000

# Where interrupts come from, and as what.
        .set vector, 0x40
        .set message_address, 0xfee00000
        .set apic_enable, 0xfee000f0
        .set apic_done, 0xfee000b0

# The model's registers.
        .set CONTROL, 0x10
        .set DOORBELL, 0x18
        .set SCRATCH_A, 0x20
        .set SCRATCH_B, 0x28
        .set SCRATCH_C, 0x30
        .set SCRATCH_D, 0x38

        .set NO_DMA, 1
        .set LOST_REGISTER, 2
        .set LOST_MEMORY, 4

# Counts an error of this kind, unless the last comparison found the same.
        .macro unless_equal kind
        je 1f
        movl $\kind, %edx
        call count
1:
        .endm

        .code16
        .globl _start
_start:
        cli
        xorw %ax, %ax
        movw %ax, %ds
        # The line A20: without it every second MiB is another one.
        inb $0x92, %al
        orb $2, %al
        andb $0xfe, %al
        outb %al, $0x92
        lgdt gdt_register
        movl %cr0, %eax
        orb $1, %al
        movl %eax, %cr0
        ljmp $8, $protected

        .code32
protected:
        movw $16, %ax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %ss
        movl $0x7c00, %esp
        cld
        movl $known, %edi
        xorl %eax, %eax
        movl $0x40, %ecx
        rep stosl

        .ifdef HIGH
        # Each page is what it is, but for the one at `window`: bit 13 is bit 32 of its address.
        movl $directory, %edi
        movl $0xe3, %eax
fill:
        stosl
        addl $0x400000, %eax
        jnc fill
        movl $0x20e3, directory + (window >> 20)
        movl $directory, %eax
        movl %eax, %cr3
        movl $0x10, %eax
        movl %eax, %cr4
        movl %cr0, %eax
        orl $0x80000000, %eax
        movl %eax, %cr0
        .endif

        .ifdef INTERRUPTS
        # Nobody else interrupts.
        movb $0xff, %al
        outb %al, $0x21
        outb %al, $0xa1
        lidt interrupt_register
        orl $0x100, apic_enable
        xorl %eax, %eax
        movl %eax, %dr0
        .endif

        # ebx: the address of a function's configuration; esi: what is known of the device.
        movl $first, %esi
        movl $0x80000000, %ebx
find:
        movb $8, %bl
        call configuration
        shrl $8, %eax
        cmpl $0xff0000, %eax
        jne next_function
        call set_up
        cmpl $2, devices
        je found
next_function:
        addl $0x800, %ebx
        cmpl $0x80010000, %ebx
        jb find
found:
        xorl %ebp, %ebp
        movb devices, %al
        addb $'0', %al
        outb %al, $0xe9

again:
        incl %ebp
        movl $first, %esi
        movl devices, %ecx
        jecxz again
each_device:
        movl registers(%esi), %edi
        movl %ebp, DOORBELL(%edi)
        movl buffer(%esi), %ebx
        cmpl %ebp, (%ebx)
        unless_equal NO_DMA

        leal -1(%ebp), %ebx
        cmpl %ebx, SCRATCH_C(%edi)
        unless_equal LOST_REGISTER
        movl %ebp, SCRATCH_C(%edi)

        movl memory(%esi), %eax
        testl %eax, %eax
        jz no_memory
        cmpl %ebx, (%eax)
        unless_equal LOST_MEMORY
        movl %ebp, (%eax)
no_memory:
        .ifdef INTERRUPTS
        xorl %eax, %eax
        sti
        nop
        cli
        .endif
        movl errors, %eax
        movl %eax, SCRATCH_D(%edi)
        addl $each, %esi
        loop each_device
        jmp again

# Reads the word of configuration at ebx into eax; dx is the port of the word afterwards.
configuration:
        movl %ebx, %eax
        movw $0xcf8, %dx
        outl %eax, %dx
        movw $0xcfc, %dx
        inl %dx, %eax
        ret

# Makes the device at ebx work, and keeps what is to be known of it.
set_up:
        movb $0x04, %bl
        call configuration
        orb $6, %al
        outl %eax, %dx
        movb $0x18, %bl
        call configuration
        andb $0xf0, %al
        movl %eax, memory(%esi)
        movb $0x10, %bl
        call configuration
        andb $0xf0, %al
        movl %eax, registers(%esi)
        movl %eax, %edi
        imull $between_buffers, devices, %eax
        addl $buffers, %eax
        movl %eax, SCRATCH_A(%edi)
        .ifdef HIGH
        movl $1, SCRATCH_A + 4(%edi)
        addl $window, %eax
        .endif
        movl %eax, buffer(%esi)
        movl $buffer_size, SCRATCH_B(%edi)
        .ifdef INTERRUPTS
        # The first entry of the table in the fifth BAR: where to, nothing above that, what, not masked.
        movb $0x20, %bl
        call configuration
        andb $0xf0, %al
        movl $message_address, (%eax)
        movl $0, 4(%eax)
        movl $vector, 8(%eax)
        movl $0, 12(%eax)
        movb $0x40, %bl
        call configuration
        orl $0x80000000, %eax
        outl %eax, %dx
        movl $3, CONTROL(%edi)
        .else
        movl $1, CONTROL(%edi)
        .endif
        incl devices
        addl $each, %esi
        ret

# Counts an error of the kind in edx. Keeps all but edx.
count:
        pushl %eax
        incl errors
        orl %edx, kinds
        movb $'E', %al
        outb %al, $0xe9
        popl %eax
        ret

        .ifdef INTERRUPTS
# Keeps all but eax.
interrupted:
        movl %dr0, %eax
        incl %eax
        movl %eax, %dr0
        movl $0, apic_done
        iret

        .align 8
gate:
        .word interrupted, 8, 0x8e00, 0
interrupt_register:
        .word vector * 8 + 7
        .long gate - vector * 8
        .endif

        .align 4
gdt:
        .quad 0
        .quad 0x00cf9b000000ffff
        .quad 0x00cf93000000ffff
gdt_register:
        .word . - gdt - 1
        .long gdt

        .org _start + 510
        .word 0xaa55
