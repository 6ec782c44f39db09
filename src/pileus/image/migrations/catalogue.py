"""The metadata definitions a new cloud begins with: what may be said of images, flavors, volumes and servers."""

IMAGE, VOLUME, FLAVOR, SERVER = "OS::Glance::Image", "OS::Cinder::Volume", "OS::Nova::Flavor", "OS::Nova::Server"
# As (resource type, prefix of the properties' names there, what of the resource they are said of).
ON_IMAGES = ((IMAGE, "hw_", None), (VOLUME, "hw_", "image"), (FLAVOR, "hw:", None))
PLAIN = ((IMAGE, None, None), (VOLUME, None, "image"))
ON_FLAVORS = ((FLAVOR, "quota:", None),)


def _one_of(name, title, text, *values, default=None):
    more = {} if default is None else {"default": default}
    return {"name": name, "title": title, "description": text, "type": "string", "enum": list(values), **more}


def _count(name, title, text, minimum=0):
    return {"name": name, "title": title, "description": text, "type": "integer", "minimum": minimum}


def _text(name, title, text):
    return {"name": name, "title": title, "description": text, "type": "string"}


def _switch(name, title, text):
    return {"name": name, "title": title, "description": text, "type": "boolean", "default": False}


NAMESPACES = (
    ("OS::Compute::VirtCPUTopology", "Processor topology",
     "How the processors of a server are arranged in sockets, cores and threads.", ON_IMAGES, (
         _count("cpu_sockets", "Sockets", "Wanted number of sockets.", 1),
         _count("cpu_cores", "Cores", "Wanted number of cores in a socket.", 1),
         _count("cpu_threads", "Threads", "Wanted number of threads in a core.", 1),
         _count("cpu_max_sockets", "Most sockets", "No more sockets than this.", 1),
         _count("cpu_max_cores", "Most cores", "No more cores in a socket than this.", 1),
         _count("cpu_max_threads", "Most threads", "No more threads in a core than this.", 1))),
    ("OS::Compute::CPUPinning", "Processor pinning", "Whether a server has processors of its host to itself.",
     ON_IMAGES, (
         _one_of("cpu_policy", "Policy", "Shared with other servers, or dedicated.", "shared", "dedicated", "mixed",
                 default="shared"),
         _one_of("cpu_thread_policy", "Threads", "What becomes of the other threads of a dedicated core.", "prefer",
                 "isolate", "require", default="prefer"))),
    ("OS::Compute::GuestMemoryBacking", "Memory pages", "Which size of memory page backs a server.", ON_IMAGES, (
        _text("mem_page_size", "Page size", "small, large, any, or a size such as 2MB or 1GB."),)),
    ("OS::Compute::LibvirtImage", "Devices", "Which devices a server made of the image is given.",
     ((IMAGE, "hw_", None), (VOLUME, "hw_", "image")), (
         _one_of("disk_bus", "Disk bus", "How disks are attached.", "virtio", "scsi", "sata", "ide", "usb", "fdc"),
         _one_of("cdrom_bus", "CD-ROM bus", "How CD-ROMs are attached.", "virtio", "scsi", "sata", "ide", "usb"),
         _one_of("vif_model", "Network card", "Model of the network cards.", "virtio", "e1000", "e1000e", "rtl8139",
                 "ne2k_pci", "vmxnet3"),
         _one_of("video_model", "Graphics card", "Model of the graphics card.", "virtio", "vga", "cirrus", "qxl",
                 "bochs", "none"),
         _one_of("machine_type", "Machine", "Which machine is made.", "q35", "pc"),
         _one_of("rng_model", "Random numbers", "Device that passes random numbers of the host on.", "virtio"),
         _one_of("firmware_type", "Firmware", "With what the server starts.", "bios", "uefi"),
         _switch("qemu_guest_agent", "Guest agent", "Whether an agent in the server answers the host."),
         _switch("vif_multiqueue_enabled", "Network queues", "Whether a network card has a queue per processor."))),
    ("OS::Compute::Watchdog", "Watchdog", "What happens to a server that hangs.", ON_IMAGES, (
        _one_of("watchdog_action", "Action", "When the watchdog is not fed any more.", "disabled", "reset",
                "poweroff", "pause", "none", default="disabled"),)),
    ("OS::Compute::TPM", "Trusted platform module", "Whether a server has one, and of which kind.", ON_IMAGES, (
        _one_of("tpm_version", "Version", "Of the standard.", "1.2", "2.0"),
        _one_of("tpm_model", "Model", "How the server sees it.", "tpm-tis", "tpm-crb"))),
    ("OS::Compute::Quota", "Limits of a server", "How much of its host a server of the flavor may use.", ON_FLAVORS, (
        _count("cpu_shares", "Processor weight", "Compared to other servers of the host."),
        _count("cpu_period", "Processor period", "Microseconds over which the processor quota counts.", 1000),
        _count("cpu_quota", "Processor quota", "Microseconds of processor time per period.", 1000),
        _count("disk_read_bytes_sec", "Reading", "Bytes a second from its disks."),
        _count("disk_write_bytes_sec", "Writing", "Bytes a second to its disks."),
        _count("disk_read_iops_sec", "Reads", "Read operations a second."),
        _count("disk_write_iops_sec", "Writes", "Write operations a second."),
        _count("vif_inbound_average", "Arriving traffic", "KiB a second."),
        _count("vif_outbound_average", "Leaving traffic", "KiB a second."))),
    ("OS::Compute::ImageProperties", "Operating system", "What a server made of the image runs.", PLAIN, (
        _text("os_distro", "Distribution", "Its short name: debian, ubuntu, fedora, windows ..."),
        _text("os_version", "Version", "As its vendor numbers it."),
        _one_of("os_type", "Family", "Linux unless said otherwise.", "linux", "windows"),
        _text("os_admin_user", "Administrator", "Name of the user who may administer the server."),
        _switch("os_require_quiesce", "Quiet snapshots", "Whether file systems must stand still for a snapshot."),
        _one_of("architecture", "Architecture", "Of the processor the image is for.", "x86_64", "aarch64", "i686",
                "ppc64le", "riscv64", "s390x"))),
    ("OS::Glance::Signatures", "Signature", "With which the image's bytes can be verified.", ((IMAGE, None, None),), (
        _text("img_signature", "Signature", "In base64."),
        _text("img_signature_certificate_uuid", "Certificate", "Where the signer's certificate is kept."),
        _one_of("img_signature_hash_method", "Hash", "What was signed.", "SHA-224", "SHA-256", "SHA-384", "SHA-512"),
        _one_of("img_signature_key_type", "Key", "Kind of the signer's key.", "RSA-PSS", "DSA", "ECC_SECP384R1",
                "ECC_SECP521R1"))),
    ("OS::Software::Runtimes", "Languages", "Languages whose programs the image can run.",
     ((IMAGE, "sw_runtime_", None), (SERVER, "sw_runtime_", None)), (
         _text("python_version", "Python", "Its version."), _text("java_version", "Java", "Its version."),
         _text("php_version", "PHP", "Its version."), _text("ruby_version", "Ruby", "Its version."))),
)
