// SPDX-License-Identifier: GPL-2.0
/* The module: platform devices and the driver that makes VFIO devices of them. */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/random.h>

#include "testdev.h"

#define TDEV_MOST 16

static unsigned int devices = 2;
module_param(devices, uint, 0444);
MODULE_PARM_DESC(devices, "how many devices there are, at most 16");

static unsigned int capabilities = VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_P2P |
				   VFIO_MIGRATION_PRE_COPY;
module_param(capabilities, uint, 0444);
MODULE_PARM_DESC(capabilities, "migration flags of each: 0 (no migration), 1, 3, 5 or 7");

static unsigned long size = 1 << 20;
module_param(size, ulong, 0444);
MODULE_PARM_DESC(size, "bytes of device memory of each");

static bool wipe;
module_param(wipe, bool, 0444);
MODULE_PARM_DESC(wipe, "lose all data at first open and last close");

static struct platform_device *platform_devices[TDEV_MOST];
static struct dentry *debugfs_root;

static int tdev_probe(struct platform_device *pdev)
{
	struct testdev *t;
	int ret;

	t = vfio_alloc_device(testdev, vdev, &pdev->dev, &tdev_ops);
	if (IS_ERR(t))
		return PTR_ERR(t);
	t->dev = &pdev->dev;
	t->wipe = wipe;
	t->content.secret = get_random_u64();
	ret = tdev_resize(t, size);
	if (ret)
		goto put;
	t->vdev.migration_flags = capabilities;
	t->vdev.mig_ops = capabilities ? &tdev_migration_ops : NULL;
	t->vdev.log_ops = &tdev_log_ops;
	ret = vfio_register_emulated_iommu_dev(&t->vdev);
	if (ret)
		goto put;
	tdev_debugfs_init(t, debugfs_root);
	platform_set_drvdata(pdev, t);
	return 0;
put:
	vfio_put_device(&t->vdev);
	return ret;
}

static void tdev_remove(struct platform_device *pdev)
{
	struct testdev *t = platform_get_drvdata(pdev);

	/* Waits until nobody has the device open. */
	vfio_unregister_group_dev(&t->vdev);
	debugfs_remove_recursive(t->debugfs);
	vfio_put_device(&t->vdev);
}

static struct platform_driver tdev_driver = {
	.probe = tdev_probe,
	.remove = tdev_remove,
	.driver = {
		.name = TDEV_NAME,
	},
};

static void tdev_unregister_devices(void)
{
	unsigned int i;

	for (i = 0; i < TDEV_MOST && platform_devices[i]; i++)
		platform_device_unregister(platform_devices[i]);
}

static int __init tdev_init(void)
{
	unsigned int i;
	int ret;

	/* Legal sets all have STOP_COPY, and no bit that we do not know. */
	if (devices > TDEV_MOST || (capabilities && !(capabilities & VFIO_MIGRATION_STOP_COPY)) ||
	    capabilities > 7)
		return -EINVAL;
	debugfs_root = debugfs_create_dir(TDEV_NAME, NULL);
	ret = platform_driver_register(&tdev_driver);
	if (ret)
		goto no_driver;
	for (i = 0; i < devices; i++) {
		struct platform_device *pdev =
			platform_device_register_simple(TDEV_NAME, i, NULL, 0);

		if (IS_ERR(pdev)) {
			ret = PTR_ERR(pdev);
			goto no_device;
		}
		platform_devices[i] = pdev;
	}
	return 0;
no_device:
	tdev_unregister_devices();
	platform_driver_unregister(&tdev_driver);
no_driver:
	debugfs_remove_recursive(debugfs_root);
	return ret;
}

static void __exit tdev_exit(void)
{
	tdev_unregister_devices();
	platform_driver_unregister(&tdev_driver);
	debugfs_remove_recursive(debugfs_root);
}

module_init(tdev_init);
module_exit(tdev_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("VFIO device without hardware, to test migration");
MODULE_AUTHOR("The vfio-migration authors");
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
MODULE_IMPORT_NS("IOMMUFD");
#else
MODULE_IMPORT_NS(IOMMUFD);
#endif
